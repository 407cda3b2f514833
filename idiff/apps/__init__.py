"""Web pages on loopback: each is a server and one HTML file with its own style and script, which loads nothing from elsewhere."""
