"""Whether images that are validated on are also trained on: compared by content, and by key.

The released code of InstructDiffusion puts a validation set into its training mixture. Sets that are built from one
origin can share images too: those of one referring set's validation split lie in another's training split.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError

if TYPE_CHECKING:
    from idiff.types import Picture

Places = NDArray[np.int64]

LOOK = 16
"""Side, in pixels, of the gray thumbnails by which two files of one image are told from two images."""
SIMILAR = 6.0
"""Largest mean difference of two thumbnails of one image, in gray levels of 255: resizing and JPEG stay below it."""


class Pair(NamedTuple):
    """A sample of the training set and one of the validation set, by position; `reason` says what they share."""

    train: int
    val: int
    reason: str


class Overlap(NamedTuple):
    """What two sets share.

    Attributes:
        pairs: samples that show one image.
        renamed: how many keys are in both sets but name different images, as running numbers do.
    """

    pairs: list[Pair]
    renamed: int


def same_code(train: ShardSet, val: ShardSet) -> tuple[Places, Places]:
    """Find samples whose image files agree in size and CRC-32, by the indices alone.

    Args:
        train: a set of any size; its index is read shard by shard.
        val: a smaller set, of which 16 bytes a sample are held.

    Returns:
        positions in `train` and, beside them, in `val`; int64 (N,) each, in the order of `train`.
    """
    return _matches(train, val, _codes)


def same_key(train: ShardSet, val: ShardSet) -> tuple[Places, Places]:
    """Find samples of one key; see `same_code`."""
    return _matches(train, val, _keys)


def proven(train: ShardSet, val: ShardSet, found: tuple[Places, Places], *, enough: int | None = None) -> list[Pair]:
    """Keep the pairs whose image files are equal byte by byte.

    Args:
        train: the training set.
        val: the validation set.
        found: pairs, see `same_code`.
        enough: stop after so many; None goes through all.
    """
    pairs: list[Pair] = []
    for first, second in zip(*(side.tolist() for side in found), strict=True):
        if len(pairs) == enough:
            break
        if _source(train, first) == _source(val, second) is not None:
            pairs.append(Pair(first, second, "the same file"))
    return pairs


def overlap(train: ShardSet, val: ShardSet) -> Overlap:
    """Compare two sets thoroughly: equal files, and equal keys whose files differ but show one image.

    An image that was stored anew (resized, or with another JPEG quality) under another key is not found.
    """
    pairs = proven(train, val, same_code(train, val))
    known = {(pair.train, pair.val) for pair in pairs}
    renamed = 0
    for place in zip(*(side.tolist() for side in same_key(train, val)), strict=True):
        if place in known:
            continue
        if _looks_alike(train, val, place):
            pairs.append(Pair(place[0], place[1], "one key, and the images look alike"))
        else:
            renamed += 1
    return Overlap(sorted(pairs), renamed)


def _codes(shards: ShardSet, shard: int) -> NDArray[np.uint64]:
    source = shards.rows(shard)["source"]
    codes: NDArray[np.uint64] = (source["size"].astype(np.uint64) << np.uint64(32)) | source["crc32"]
    return codes


def _keys(shards: ShardSet, shard: int) -> NDArray[Any]:
    keys: NDArray[Any] = shards.rows(shard)["key"].astype("S80")
    return keys


def _matches(train: ShardSet, val: ShardSet, column: Any) -> tuple[Places, Places]:
    """Equal entries of a column. Held at once: the column of `val`, and that of one shard of `train`."""
    values = np.concatenate([column(val, shard) for shard in range(len(val.manifest.shards))])
    order = np.argsort(values, kind="stable")
    values = values[order]
    first: list[Places] = []
    second: list[Places] = []
    begin = 0
    for shard in range(len(train.manifest.shards)):
        own = column(train, shard)
        low, high = np.searchsorted(values, own, side="left"), np.searchsorted(values, own, side="right")
        hits = np.flatnonzero(high > low)
        counts = (high - low)[hits]
        first.append(np.repeat(begin + hits, counts))
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        second.append(order[np.repeat(low[hits], counts) + steps])
        begin += len(own)
    none = np.zeros(0, np.int64)
    return np.concatenate([none, *first]), np.concatenate([none, *second])


def _source(shards: ShardSet, sample: int) -> bytes | None:
    """The bytes of a sample's image; None where they cannot be read, which `idiff data check` reports."""
    try:
        members = shards.read_members(sample)
    except BadSampleError:
        return None
    return next((data for name, data in members.items() if name.startswith("source.")), None)


def _looks_alike(train: ShardSet, val: ShardSet, place: tuple[int, int]) -> bool:
    try:
        first, second = train.read(place[0]).image, val.read(place[1]).image
    except BadSampleError:
        return False
    return looks_alike(first, second)


def looks_alike(first: Picture, second: Picture) -> bool:
    """Whether two files show one image, perhaps resized or compressed again.

    Args:
        first: uint8 (H, W, 3).
        second: uint8 (h, w, 3).
    """
    shapes = [picture.shape[1] / picture.shape[0] for picture in (first, second)]
    if abs(shapes[0] / shapes[1] - 1) > 0.02:
        return False
    small = [thumbnail(picture) for picture in (first, second)]
    return float(np.abs(small[0] - small[1]).mean()) < SIMILAR


def thumbnail(picture: Picture) -> NDArray[np.float32]:
    """A gray image of LOOK x LOOK means, float32 in [0, 255]."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, (LOOK, LOOK), interpolation=cv2.INTER_AREA), dtype=np.float32)


def lines(train: ShardSet, val: ShardSet, pairs: list[Pair]) -> Iterator[str]:
    """One line a pair: `shard:key` of both, and the reason."""
    for pair in pairs:
        yield f"{train.where(pair.train)} = {val.where(pair.val)}: {pair.reason}"
