"""Drawn scenes with exact truth, as a data set without files."""
