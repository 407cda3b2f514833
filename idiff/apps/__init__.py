"""Web pages on loopback, which load nothing from elsewhere: people pick candidates; a model answers."""
