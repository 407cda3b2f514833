"""Train from latent caches: rows by stream position, as from shards, but painted and encoded beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from idiff.data.latent_cache.format import CachedRow, LatentCache
from idiff.data.loading.dataset import LoadingError, PositionSampler
from idiff.data.loading.loaders import process_options
from idiff.data.loading.mixture import Layout, Stream
from idiff.errors import DataError
from idiff.tasks.base import Task
from idiff.tasks.drawing import drawing_settings
from idiff.types import VOID, Batch, Latents
from idiff.utils.seeds import hash64


@dataclass(slots=True)
class CachedPart:
    """One set of a mixture: the task's name in the configuration, and its cache."""

    name: str
    cache: LatentCache

    def __len__(self) -> int:
        """Rows: views times items, bad samples left out."""
        return len(self.cache)


class CachedDataset(Dataset[tuple[int, int, CachedRow]]):
    """Rows by stream position: (position, number of the part, row)."""

    def __init__(self, parts: Sequence[CachedPart], stream: Stream) -> None:
        self.parts, self.stream = list(parts), stream

    def __len__(self) -> int:
        """Rows of one epoch; positions go on beyond it."""
        return len(self.stream)

    def __getitem__(self, position: int) -> tuple[int, int, CachedRow]:
        number, index = self.stream.locate(position)
        return position, number, self.parts[number].cache.row(index)

    def collate(self, rows: Sequence[tuple[int, int, CachedRow]]) -> Batch:
        """Stack rows; the states of each distinct prompt come once.

        Raises:
            LoadingError: rows of several sizes, or of text-to-image beside editing.
        """
        wanted = sorted({(number, row.prompt) for _, number, row in rows})  # part by part
        places = {key: 1 + at for at, key in enumerate(wanted)}
        states = [self.parts[0].cache.states([0])]
        for number in sorted({owner for owner, _ in wanted}):
            states.append(self.parts[number].cache.states([index for owner, index in wanted if owner == number]))
        found = [row for _, _, row in rows]
        if len({(row.mean.shape, row.source is None) for row in found}) > 1:
            raise LoadingError(
                "one batch has latents of several sizes, or with and without a source: give every task one size."
            )
        cache = self.parts[0].cache.manifest
        return Batch(
            keys=[row.key for row in found],
            instruction=[row.instruction for row in found],
            source=None,
            target=torch.empty(len(found), 3, 0, 0),
            query=[row.query for row in found],
            annotation=[{} for _ in found],
            position=torch.tensor([position for position, _, _ in rows], dtype=torch.int64),
            task=[self.parts[number].name for _, number, _ in rows],
            latents=Latents(
                mean=torch.stack([row.mean for row in found]),
                std=torch.stack([row.std for row in found]),
                source=_stacked([row.source for row in found]),
                changed=_stacked([row.changed for row in found]),
                states=torch.cat(states),
                prompt=torch.tensor([places[number, row.prompt] for _, number, row in rows], dtype=torch.int64),
                made_by=(cache.autoencoder, cache.text),
                labels=_labels(found),
                names=[row.names for row in found],
            ),
        )


def _labels(rows: Sequence[CachedRow]) -> Tensor | None:
    """Labels of the rows (B, H, W), void where a row has none; one tensor, so that a worker shares one."""
    known = [row.labels for row in rows if row.labels is not None]
    if not known:
        return None
    void = torch.full_like(known[0], VOID)
    return torch.stack([void if row.labels is None else row.labels for row in rows])


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    found = [each for each in tensors if each is not None]
    return torch.stack(found) if found else None


class CachedTraining:
    """Training rows from latent caches; see `idiff.data.loading.training.Training`.

    Args:
        parts: the sets.
        weights: how often an epoch draws each item, in whichever of its views.
        seed: of the order.
    """

    def __init__(self, parts: list[CachedPart], *, weights: list[float], seed: int) -> None:
        self.parts = parts
        shares = [weight / part.cache.manifest.views for part, weight in zip(parts, weights, strict=True)]
        self.stream = Stream([len(part) for part in parts], shares, seed=seed)
        self.rows = len(self.stream)
        facts = [
            (json.dumps(vars_of(part.cache), sort_keys=True), draws)
            for part, draws in zip(parts, self.stream.draws, strict=True)
        ]
        self.fingerprint = f"{hash64('cached', json.dumps(facts)):016x}"
        listed = ", ".join(
            f"{part.name} {share:.1%} ({draws:,} of {len(part):,} cached rows, {part.cache.manifest.views} views an item)"
            for part, draws, share in zip(parts, self.stream.draws, self.stream.shares(), strict=True)
        )
        self.summary = f"{self.rows:,} training rows an epoch, from caches: {listed}"

    def loader(
        self, step: Callable[[], int], *, steps: int, layout: Layout, offset: int, workers: int, max_bad_fraction: float
    ) -> DataLoader[Any]:
        """See `Training.loader`. Bad samples were left out when the cache was made."""
        dataset = CachedDataset(self.parts, self.stream)
        sampler = PositionSampler(step, steps=steps, layout=layout, offset=offset)
        return DataLoader(
            dataset, batch_sampler=sampler, collate_fn=dataset.collate, persistent_workers=workers > 0,
            **process_options(workers),
        )  # fmt: skip


def vars_of(cache: LatentCache) -> dict[str, Any]:
    """What decides the rows of a cache."""
    known = cache.manifest
    return {
        "data": known.data,
        "settings": known.settings,
        "views": known.views,
        "seed": known.seed,
        "rows": known.rows,
    }


def open_cached(tasks: Mapping[str, tuple[Task, float]], folder: str | Path, *, seed: int) -> CachedTraining:
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
    return CachedTraining(parts, weights=[weight for _, weight in tasks.values()], seed=seed)
