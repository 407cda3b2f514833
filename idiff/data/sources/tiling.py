"""Large images in pieces: restoration never shrinks an image, so it is stored in tiles that load quickly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from idiff.data.sources.base import Source

if TYPE_CHECKING:
    from idiff.types import Picture

MAX_PIXELS = 2_000_000
"""Images with more pixels are cut."""

SIDE = 1024
"""Longest side of a tile in pixels."""


class Tile(NamedTuple):
    """A rectangle of an image, in pixels, and its place in the grid."""

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
        """Rows and columns of the image."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def cut(size: tuple[int, int] | None) -> list[Tile | None]:
    """The tiles of an image of (height, width), row by row: each pixel lies in one, and their sides differ by 1 at most.

    Returns:
        `[None]`, the image as it is, where it has no more than `MAX_PIXELS`, or where its size is not known.
    """
    if size is None or size[0] * size[1] <= MAX_PIXELS:
        return [None]
    rows, columns = (_spans(length) for length in size)
    return [
        Tile(row, column, top, left, bottom - top, right - left)
        for row, (top, bottom) in enumerate(rows)
        for column, (left, right) in enumerate(columns)
    ]


def tile_facts(tile: Tile, whole: Picture) -> dict[str, list[int]]:
    """What an annotation says of a tile: its `[top, left, height, width]`, and the whole image's (height, width)."""
    return {"tile": [tile.top, tile.left, tile.height, tile.width], "size": list(whole.shape[:2])}


class TiledSource(Source):
    """A source of images of which large ones are cut.

    Args:
        tiles: of each image, as `cut` returns them.

    Attributes:
        _places: sample -> (number of its image, its tile; None: the whole).
        _last: the image that was decoded last, kept for its other tiles; it does not travel to workers.
    """

    _last: Any = None

    def __init__(self, tiles: Sequence[Sequence[Tile | None]]) -> None:
        self._pictures = len(tiles)
        self._places = [(number, tile) for number, pieces in enumerate(tiles) for tile in pieces]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def meta(self) -> dict[str, Any]:
        """Nothing is shared by the set."""
        return {}

    def __len__(self) -> int:
        return len(self._places)

    def funnel(self) -> dict[str, int]:
        """All images, and the samples that they make where some are cut into tiles."""
        cut_up = len(self) != self._pictures
        return {"found": self._pictures} | ({"in tiles of at most 2 MP": len(self)} if cut_up else {})


def _spans(length: int) -> list[tuple[int, int]]:
    count = -(-length // SIDE)
    edges = [length * number // count for number in range(count + 1)]
    return list(itertools.pairwise(edges))
