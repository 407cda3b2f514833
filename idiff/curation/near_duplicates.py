"""Images that look alike though their files differ: resized, compressed anew, under another key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.data.shards.overlap import LOOK, SIMILAR, thumbnail
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError
from idiff.utils.picture_files import decode_picture

BITS = 8
"""Side of the hash: it tells for BITS x BITS neighbours which one is brighter (a difference hash)."""
FAR = 8
"""Most differing bits, of 64, of a pair whose thumbnails are compared."""
SPOT = 24.0
"""Largest difference of one cell of two thumbnails, in gray levels: a thing that is in one image alone exceeds it."""
ROWS = 2048


@dataclass(frozen=True, slots=True)
class Looks:
    """What the images of a set look like, small.

    Attributes:
        places: int64 (N,), the samples that were looked at; unreadable ones are left out.
        bits: float32 (N, 64), the hashes as -1 and 1.
        thumbnails: float32 (N, LOOK, LOOK), gray levels.
        shapes: float32 (N,), width over height.
    """

    places: NDArray[np.int64]
    bits: NDArray[np.float32]
    thumbnails: NDArray[np.float32]
    shapes: NDArray[np.float32]


def looks_of(shards: ShardSet, *, most: int, progress: Callable[[int, int], None] = lambda done, total: None) -> Looks:
    """Look at a set's images.

    Args:
        shards: the set.
        most: how many at most, spread evenly over it.
        progress: called with (images done, images in all).
    """
    chosen = np.unique(np.linspace(0, len(shards) - 1, min(most, len(shards))).round().astype(np.int64))
    places, bits, thumbnails, shapes = [], [], [], []
    for done, place in enumerate(chosen.tolist(), start=1):
        try:
            members = shards.read_members(place)
            name = next(name for name in members if name.startswith("source."))
            picture = decode_picture(members[name], where=shards.where(place), field="source")
        except (BadSampleError, StopIteration):  # `idiff data check` names it
            continue
        small = thumbnail(picture)
        signs = cv2.resize(small, (BITS + 1, BITS), interpolation=cv2.INTER_AREA)
        places.append(place)
        thumbnails.append(small)
        bits.append(np.where(signs[:, 1:] > signs[:, :-1], 1.0, -1.0).ravel())
        shapes.append(picture.shape[1] / picture.shape[0])
        progress(done, len(chosen))
    return Looks(
        np.array(places, np.int64), np.array(bits, np.float32).reshape(-1, BITS * BITS),
        np.array(thumbnails, np.float32).reshape(-1, LOOK, LOOK), np.array(shapes, np.float32),
    )  # fmt: skip


def alike(first: Looks, second: Looks | None = None) -> list[tuple[int, int]]:
    """Pairs of samples that look alike, by their places.

    Args:
        first: of one set.
        second: of another; None: pairs within the first.
    """
    other = first if second is None else second
    found: list[tuple[int, int]] = []
    for begin in range(0, len(first.places), ROWS):
        near = first.bits[begin : begin + ROWS] @ other.bits.T >= BITS * BITS - 2 * FAR
        for row, column in np.argwhere(near).tolist():
            one = begin + row
            if (second is not None or one < column) and _same(first, one, other, column):
                found.append((int(first.places[one]), int(other.places[column])))
    return found


def _same(first: Looks, one: int, second: Looks, two: int) -> bool:
    if abs(first.shapes[one] / second.shapes[two] - 1) > 0.02:
        return False
    apart = np.abs(first.thumbnails[one] - second.thumbnails[two])
    return bool(apart.mean() < SIMILAR and apart.max() < SPOT)
