"""A run folder as one HTML page: read from its files alone, without torch."""
