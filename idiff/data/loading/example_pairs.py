"""Which other samples of a set are tried as the example beside a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np

from idiff.data.shards.reader import ShardSet
from idiff.types import Sample

TRIES = 8
"""Other samples that are looked at, at most, for one that shows what the question names."""


class OtherSamples(Sequence[tuple[Sample, int]]):
    """Samples of a set, each with one of its items: read when they are looked at, and kept.

    Args:
        shards: the set.
        unit: of the items.
        items: of the whole set.
    """

    def __init__(self, shards: ShardSet, unit: str, items: Sequence[int]) -> None:
        self.shards, self.unit, self.items = shards, unit, items
        self._read: dict[int, tuple[Sample, int]] = {}

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, number: int) -> tuple[Sample, int]: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[tuple[Sample, int]]: ...

    def __getitem__(self, number: int | slice) -> tuple[Sample, int] | Sequence[tuple[Sample, int]]:
        """Read one.

        Raises:
            BadSampleError: it cannot be read.
        """
        if isinstance(number, slice):
            return OtherSamples(self.shards, self.unit, self.items[number])
        if number not in self._read:
            index, local = self.shards.locate(self.unit, self.items[number])
            self._read[number] = self.shards.read(index), local
        return self._read[number]


def other_samples(place: tuple[ShardSet, int | None], unit: str, rng: np.random.Generator) -> OtherSamples:
    """Draw other items of a set, none of an item's own sample. Nothing is read yet.

    Of a set behind an address they come from the item's own shard, which is fetched for it anyway.

    Args:
        place: the set, and the item whose sample is left out; None: it is not of this set.
        unit: of the items.
        rng: the only source of randomness; as much is drawn for every item.

    Returns:
        up to `TRIES`; none where there is no other sample.
    """
    (shards, item), places = place, rng.random(TRIES)
    pool, own = shards.near(unit, item or 0)
    own = own if item is not None else range(pool.start, pool.start)
    left = len(pool) - len(own)
    drawn = [own.stop - pool.start + int(place * left) for place in places] if left else []
    return OtherSamples(shards, unit, list(dict.fromkeys(pool[each % len(pool)] for each in drawn)))
