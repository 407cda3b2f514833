"""Small things everyone may use: images, painting, text, seeds."""
