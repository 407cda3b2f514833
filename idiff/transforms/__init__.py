"""Crops, warps and augmentation that move an image and its annotation together, driven by an rng."""
