"""torch DataLoaders for training and evaluation, and the settings of their worker processes. No Lightning here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from idiff.data.loading import reading
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import EvaluationDataset, PositionSampler
from idiff.sampling import Sampling
from idiff.types import BatchBase


def start_worker(number: int, *, table: Tensor | None = None) -> None:
    """Keep a worker process to one thread: the processes share the cores already.

    Args:
        number: which worker; the same settings for each.
        table: where it notes what it reads, see `idiff.data.loading.reading`.
    """
    if table is not None:
        reading.begin(table, number)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def training_loader(
    dataset: Dataset[Any], order: PositionSampler, *, collate: Callable[[Sequence[Any]], BatchBase], workers: int
) -> DataLoader[Any]:
    """Training loader; yields micro-batches.

    Args:
        dataset: examples by position, or an iterable of micro-batches in an order of its own.
        order: the positions of each micro-batch.
        collate: stacks the examples of a micro-batch.
        workers: worker processes; they live as long as the loader.
    """
    batches: dict[str, Any] = {"batch_sampler": order}
    if isinstance(dataset, IterableDataset):
        batches = {"batch_size": None}
    return DataLoader(
        dataset, collate_fn=collate, persistent_workers=workers > 0, **batches, **process_options(workers, dataset)
    )


def evaluation_loader(dataset: EvaluationDataset, *, groups: int, sampling: Sampling, workers: int) -> DataLoader[Any]:
    """Evaluation loader; yields `types.Batch` of whole groups of one task. Its workers end with each pass.

    Args:
        dataset: the items of this rank.
        groups: items of a batch; each brings all its prompts.
        sampling: how these examples are sampled.
        workers: worker processes.
    """
    collate = partial(collate_groups, task=dataset.part.name, sampling=sampling)
    return DataLoader(
        dataset, batch_size=groups, shuffle=False, collate_fn=collate, **process_options(workers, dataset)
    )


def process_options(workers: int, dataset: Any = None) -> dict[str, Any]:
    """Arguments of a DataLoader with that many worker processes, which note what they read of a dataset."""
    start: Callable[[int], None] = start_worker
    if workers and dataset is not None:
        start = partial(start_worker, table=reading.table_of(dataset, workers))
    # a generator of its own: a loader that begins draws from it, and must not move torch's global random state
    return {"num_workers": workers, "worker_init_fn": start, "generator": torch.Generator().manual_seed(0)}
