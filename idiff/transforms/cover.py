"""A large image seen whole through overlapping windows of the model's size, and put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from idiff.errors import ConfigError
from idiff.transforms.geometry import Matrix
from idiff.utils.tiles import Window, blend_tiles, starts


def cover(original: tuple[int, int], size: int, *, overlap: int) -> list[Matrix]:
    """The fewest windows, pixel on pixel, that show every pixel of an image; neighbours share `overlap` pixels or more.

    Args:
        original: (height, width) of the image.
        size: side of a window; a side of the image that is not longer is seen whole, in the middle.
        overlap: pixels, 0 to size - 1.

    Returns:
        matrices from the image's to the window's pixels, row by row.

    Raises:
        ConfigError: the overlap is out of its range.
    """
    if not 0 <= overlap < size:
        raise ConfigError(f"{overlap=} pixels must lie in 0 to {size - 1}, below the window's side.")
    tops, lefts = (starts(length, size, overlap) for length in original)
    return [np.array([[1.0, 0.0, float(-left)], [0.0, 1.0, float(-top)]]) for top in tops for left in lefts]


def stitch(pieces: Sequence[Tensor], warps: Sequence[Sequence[Sequence[float]]], original: tuple[int, int]) -> Tensor:
    """Put windows together: where they overlap, each fades out towards its edge, so that there is no seam.

    Args:
        pieces: float32 (C, size, size) each.
        warps: the window's matrix of each piece, from `cover`.
        original: (height, width) of the image.

    Returns:
        float32 (C, height, width): what one window shows, or the weighted mean of several; exact where they agree.
    """
    size = pieces[0].shape[-1]
    windows = [Window(-round(float(warp[1][2])), -round(float(warp[0][2])), size, size) for warp in warps]
    return blend_tiles(zip(windows, pieces, strict=True), original, overlap=size // 2)
