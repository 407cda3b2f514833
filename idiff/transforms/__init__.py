"""Crops, warps and augmentation that move a picture and its annotation together, driven by an rng."""
