"""Large pictures in pieces: restoration never shrinks a picture, so it is stored in tiles that load quickly."""

from __future__ import annotations

import itertools
from typing import NamedTuple

MAX_PIXELS = 2_000_000
"""Pictures with more pixels are cut."""

SIDE = 1024
"""Longest side of a tile in pixels."""


class Tile(NamedTuple):
    """A rectangle of a picture, in pixels, and its place in the grid."""

    row: int
    column: int
    top: int
    left: int
    height: int
    width: int

    @property
    def name(self) -> str:
        """Such as `r0c3`."""
        return f"r{self.row}c{self.column}"

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns of the picture."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def cut(size: tuple[int, int] | None) -> list[Tile | None]:
    """The tiles of a picture of (height, width), row by row: each pixel lies in one, and their sides differ by 1 at most.

    Returns:
        `[None]`, the picture as it is, where it has no more than `MAX_PIXELS`, or where its size is not known.
    """
    if size is None or size[0] * size[1] <= MAX_PIXELS:
        return [None]
    rows, columns = (_spans(length) for length in size)
    return [
        Tile(row, column, top, left, bottom - top, right - left)
        for row, (top, bottom) in enumerate(rows)
        for column, (left, right) in enumerate(columns)
    ]


def _spans(length: int) -> list[tuple[int, int]]:
    count = -(-length // SIDE)
    edges = [length * number // count for number in range(count + 1)]
    return list(itertools.pairwise(edges))
