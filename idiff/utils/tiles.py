"""Large images in overlapping squares, and the squares' answers blended so that no seam shows.

`idiff.data.sources.tiling` is another matter: it cuts images for storage, without overlap.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """A rectangle laid on an image, pixel on pixel. It may reach beyond the image: `top` and `left` may be negative."""

    top: int
    left: int
    height: int
    width: int

    def shared(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """The pixels that window and image share.

        Args:
            size: (height, width) of the image.

        Returns:
            rows and columns in the image; rows and columns in the window.
        """
        places = []
        for start, side, length in ((self.top, self.height, size[0]), (self.left, self.width, size[1])):
            low, high = max(0, start), min(length, start + side)
            places.append((slice(low, high), slice(low - start, high - start)))
        return (places[0][0], places[1][0]), (places[0][1], places[1][1])


def starts(length: int, side: int, overlap: int) -> list[int]:
    """Where squares begin along one side of an image: they cover it, at even distances, and none reaches beyond it.

    An image that is not longer than the square lies in the middle of one, which then begins before it.

    Args:
        length: of the image.
        side: of the squares, larger than `overlap`.
        overlap: least pixels that neighbours share, at least 0.

    >>> starts(100, 64, 16), starts(40, 64, 16)
    ([0, 36], [-12])
    """
    if length <= side:
        return [(length - side) // 2]
    count = math.ceil((length - overlap) / (side - overlap))
    return [round(number * (length - side) / (count - 1)) for number in range(count)]


def tiles(size: tuple[int, int], side: int, *, overlap: int) -> list[Window]:
    """Squares that cover an image of (height, width), row by row; see `starts`."""
    rows, columns = (starts(length, side, overlap) for length in size)
    return [Window(top, left, side, side) for top, left in itertools.product(rows, columns)]


def blend_tiles(pieces: Iterable[tuple[Window, Tensor]], size: tuple[int, int], *, overlap: int) -> Tensor:
    """Put the answers of tiles together: each weighs less towards its edges, but for edges at the image's own border.

    The weight rises linearly over `overlap` pixels, so that two answers that differ by d make a slope of d / overlap a pixel,
    and no step.

    Args:
        pieces: tiles from `tiles`, each with its float (C, side, side).
        size: (height, width) of the image; the tiles cover it.
        overlap: as in `tiles`.

    Returns:
        float (C, height, width): the weighted mean, exact where the tiles agree.
    """
    mean: Tensor | None = None
    weights = torch.zeros(size)
    for window, piece in pieces:
        here, inside = window.shared(size)
        if mean is None:
            mean, weights = piece.new_zeros(piece.shape[0], *size), piece.new_zeros(size)
        rows = _ramp(window.top, window.height, size[0], overlap)
        columns = _ramp(window.left, window.width, size[1], overlap)
        weight = (rows[:, None] * columns)[inside].to(piece)
        weights[here] += weight
        place = (slice(None), *here)
        mean[place] += (piece[:, inside[0], inside[1]] - mean[place]) * (weight / weights[here])
    assert mean is not None, "an image has a tile at least"
    return mean


def _ramp(start: int, side: int, length: int, overlap: int) -> Tensor:
    """Weights along one side of a tile: 1 in the middle, towards 0 at edges that lie inside of the image. (side,)."""
    place = torch.arange(side, dtype=torch.float32) + 0.5
    weight = torch.ones(side)
    if start > 0 and overlap:
        weight = torch.minimum(weight, place / overlap)
    if start + side < length and overlap:
        weight = torch.minimum(weight, (side - place) / overlap)
    return weight
