"""What can truly be said about a scene."""
