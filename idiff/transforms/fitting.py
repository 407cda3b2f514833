"""The middle of an image in another shape, resized by Lanczos' filter as the released InstructDiffusion does."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from idiff.types import Picture


def fit_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """PIL's `ImageOps.fit`, about the middle; `idiff.transforms.frames.frame_native` is its matrix.

    Args:
        picture: uint8 (H, W, 3).
        size: (height, width) of the result.

    Returns:
        uint8 (height, width, 3).
    """
    fitted = ImageOps.fit(Image.fromarray(picture), (size[1], size[0]), Image.Resampling.LANCZOS)
    return np.array(fitted, dtype=np.uint8)
