"""Latents encoded beforehand: the format, its writer, and training from it."""
