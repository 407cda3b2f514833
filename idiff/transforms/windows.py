"""A window of the model's size onto an image, moved by whole pixels: nothing is shrunk, enlarged or blended.

What is to be restored (noise, blur, fine marks) changes when an image is resized, so restoration looks through these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from idiff.transforms.geometry import Matrix


def frame_window(
    original: tuple[int, int], size: int, rng: np.random.Generator | None = None, *, mirror: bool = False
) -> Matrix:
    """Lay the model's square on an image of (height, width), pixel on pixel.

    Along a side that is longer than the square, the square lies at a random place, or in the middle without an rng. A
    side that is not longer is seen whole, in the middle of the square; the rest is padding.

    Args:
        original: (height, width).
        size: side of the model's image.
        rng: draws the place; None: the middle.
        mirror: swap left and right.
    """
    top, left = (_start(length, size, rng) for length in original)
    across = [-1.0, 0.0, float(size - 1 + left)] if mirror else [1.0, 0.0, float(-left)]
    return np.array([across, [0.0, 1.0, float(-top)]])


def window_slices(
    matrix: Matrix | Sequence[Sequence[float]], original: tuple[int, int], size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where the pixels that image and window share lie in each of them.

    Args:
        matrix: from `frame_window`.
        original: (height, width) of the image.
        size: side of the model's image.

    Returns:
        rows and columns in the image; rows and columns in the model's square. A mirrored window holds its columns in
        reverse order.
    """
    mirrored = matrix[0][0] < 0
    left = float(matrix[0][2]) - (size - 1) if mirrored else -float(matrix[0][2])
    (rows, rows_seen), (columns, columns_seen) = (
        _shared(length, round(start), size)
        for length, start in zip(original, (-float(matrix[1][2]), left), strict=True)
    )
    if mirrored:
        columns_seen = slice(size - columns_seen.stop, size - columns_seen.start)
    return (rows, columns), (rows_seen, columns_seen)


def _shared(length: int, start: int, size: int) -> tuple[slice, slice]:
    """The pixels of one side that a window from `start` on shows: in the image, and in the window."""
    low, high = max(0, start), min(length, start + size)
    return slice(low, high), slice(low - start, high - start)


def _start(length: int, size: int, rng: np.random.Generator | None) -> int:
    """The image's coordinate of the window's first pixel; negative where the window is wider."""
    if length > size and rng is not None:
        return int(rng.integers(length - size + 1))
    return (length - size) // 2
