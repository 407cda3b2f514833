"""Opened training data: one class, whether examples are read from indexed shards, shards in order, or latent caches."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from idiff.data.loading.dataset import Example, ExampleSet, Part, PositionSampler, StreamDataset
from idiff.data.loading.loaders import training_loader
from idiff.data.loading.mixture import Layout, Stream
from idiff.types import BatchBase
from idiff.utils.seeds import hash64

T = TypeVar("T")


@dataclass(slots=True)
class TrainingSet:
    """Opened training data of a mixture.

    Attributes:
        examples: examples of an epoch.
        fingerprint: hash of what decides their order, but for the seed.
        summary: one line on sizes and fractions.
        dataset: called with the order and `max_bad_fraction`: examples by position, or an iterable of as many micro-batches.
        collate: stacks the examples of a micro-batch.
        indexed: the sets whose index says which images they hold; none where there is no index at hand.
    """

    examples: int
    fingerprint: str
    summary: str
    dataset: Callable[[PositionSampler, float], Dataset[Any]]
    collate: Callable[[Sequence[Example[Any]]], BatchBase]
    indexed: Sequence[Part] = ()

    def loader(
        self, step: Callable[[], int], *, steps: int, layout: Layout, offset: int, workers: int, max_bad_fraction: float
    ) -> DataLoader[Any]:
        """Build the loader of `steps * layout.accumulation` batches a pass, from step `step()` on.

        Shards that are read in order have no positions for `offset` to move.
        """
        order = PositionSampler(step, steps=steps, layout=layout, offset=offset)
        return training_loader(self.dataset(order, max_bad_fraction), order, collate=self.collate, workers=workers)


def by_position(
    kind: str,
    sets: Sequence[ExampleSet[T]],
    *,
    weights: Sequence[float],
    seed: int,
    collate: Callable[[Sequence[Example[T]]], BatchBase],
    indexed: Sequence[Part] = (),
) -> TrainingSet:
    """A training set whose examples are read by stream position.

    Args:
        kind: of the sets; part of the fingerprint.
        sets: of the mixture.
        weights: how often an epoch draws each item of a set.
        seed: of order and augmentation.
        collate: see `TrainingSet`.
        indexed: see `TrainingSet`.

    Raises:
        ConfigError: no set, an empty set, or a weight that is not a positive number.
    """
    stream = Stream([len(each) for each in sets], weights, seed=seed)
    facts = [(*each.identity, draws) for each, draws in zip(sets, stream.draws, strict=True)]
    listed = ", ".join(
        f"{each.name} {fraction:.1%} ({draws:,} examples of {each.size})"
        for each, draws, fraction in zip(sets, stream.draws, stream.shares(), strict=True)
    )
    return TrainingSet(
        examples=len(stream),
        fingerprint=f"{hash64(kind, json.dumps(facts)):016x}",
        summary=f"{len(stream):,} training examples an epoch: {listed}",
        dataset=lambda order, limit: StreamDataset(sets, stream, seed=seed, max_bad_fraction=limit),
        collate=collate,
        indexed=indexed,
    )
