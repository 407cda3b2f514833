"""Train from latent caches: examples by stream position, as from shards, but painted and encoded beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from idiff.data.latent_cache.format import CachedTriplet, LatentCache
from idiff.data.loading.dataset import Example, LoadingError
from idiff.data.loading.training_set import TrainingSet, by_position
from idiff.errors import DataError
from idiff.tasks.base import Task
from idiff.tasks.drawing import drawing_settings
from idiff.types import VOID, LatentBatch


@dataclass(slots=True)
class CachedPart:
    """One set of a mixture: the task's name in the configuration, and its cache; see `ExampleSet`."""

    name: str
    cache: LatentCache

    def __len__(self) -> int:
        """Views times items, bad samples left out."""
        return len(self.cache)

    @property
    def identity(self) -> tuple[str]:
        """What decides which example is which, as JSON."""
        known = self.cache.manifest
        facts = {name: getattr(known, name) for name in ("data", "rows", "seed", "settings", "views")}
        return (json.dumps(facts, sort_keys=True),)

    @property
    def size(self) -> str:
        """How many examples there are, and of how many views."""
        return f"{len(self):,} in a cache, {self.cache.manifest.views} views an item"

    def read(self, item: int, rng: np.random.Generator) -> CachedTriplet:
        """Read an example; it was drawn when the cache was made, nothing is drawn now."""
        return self.cache.example(item)


def collate_cached(examples: Sequence[Example[CachedTriplet]], *, caches: Mapping[str, LatentCache]) -> LatentBatch:
    """Stack cached examples; the states of each distinct prompt come once.

    Args:
        examples: of the tasks of the mixture.
        caches: task name -> cache, in the mixture's order.

    Raises:
        LoadingError: examples of several sizes, or of text-to-image beside editing.
    """
    first = next(iter(caches.values()))
    triplets = [example.triplet for example in examples]
    if len({(triplet.mean.shape, triplet.source is None) for triplet in triplets}) > 1:
        raise LoadingError(
            "one batch has latents of several sizes, or with and without a source: give every task one size."
        )
    states, index = [first.states([0])], dict[tuple[str, int], int]()
    for task, cache in caches.items():
        prompts = sorted({example.triplet.prompt for example in examples if example.task == task})
        index |= {(task, prompt): 1 + len(index) + number for number, prompt in enumerate(prompts)}
        if prompts:
            states.append(cache.states(prompts))
    return LatentBatch(
        keys=[triplet.key for triplet in triplets],
        instruction=[triplet.instruction for triplet in triplets],
        position=torch.tensor([example.position for example in examples], dtype=torch.int64),
        task=[example.task for example in examples],
        query=[triplet.query for triplet in triplets],
        mean=torch.stack([triplet.mean for triplet in triplets]),
        std=torch.stack([triplet.std for triplet in triplets]),
        source=_stacked([triplet.source for triplet in triplets]),
        changed=_stacked([triplet.changed for triplet in triplets]),
        states=torch.cat(states),
        prompt=torch.tensor([index[example.task, example.triplet.prompt] for example in examples], dtype=torch.int64),
        made_by=(first.manifest.autoencoder, first.manifest.text),
        labels=_labels(triplets),
        names=[triplet.names for triplet in triplets],
    )


def _labels(triplets: Sequence[CachedTriplet]) -> Tensor | None:
    """Labels (B, H, W), void where an example has none; one tensor, so that a worker shares one."""
    known = [triplet.labels for triplet in triplets if triplet.labels is not None]
    if not known:
        return None
    void = torch.full_like(known[0], VOID)
    return torch.stack([void if triplet.labels is None else triplet.labels for triplet in triplets])


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    found = [each for each in tensors if each is not None]
    return torch.stack(found) if found else None


def open_cached(tasks: Mapping[str, tuple[Task, float]], folder: str | Path, *, seed: int) -> TrainingSet:
    """Open the caches of a mixture: one folder a task, by its name.

    Args:
        tasks: name -> task, and how often an epoch draws each of its items.
        folder: which `idiff data cache` wrote for this mixture.
        seed: of the order.

    Raises:
        DataError: a cache is missing, or was drawn for another task or with other settings.
    """
    parts = []
    for name, (task, _) in tasks.items():
        cache = LatentCache(Path(folder) / name)
        there, here = cache.manifest.settings, drawing_settings(task)
        differs = [
            f"{key} {there.get(key)!r} -> {here.get(key)!r}"
            for key in {**there, **here}
            if there.get(key) != here.get(key)
        ]
        if differs:
            raise DataError(
                f"{cache.folder} was drawn with other settings than task '{name}' has: {'; '.join(differs)[:300]}. Make it again, "
                "or set the old ones."
            )
        parts.append(CachedPart(name, cache))
    if len({(part.cache.manifest.autoencoder, part.cache.manifest.text) for part in parts}) > 1:
        raise DataError(f"the caches in {folder} were made with different models: make them again with one.")
    collate = partial(collate_cached, caches={part.name: part.cache for part in parts})
    weights = [weight / part.cache.manifest.views for part, (_, weight) in zip(parts, tasks.values(), strict=True)]
    return by_position("cached", parts, weights=weights, seed=seed, collate=collate)
