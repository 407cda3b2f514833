"""torch DataLoaders for training and evaluation, and the settings of their worker processes. No Lightning here."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from idiff.data.loading.collate import collate_groups, collate_rows
from idiff.data.loading.dataset import EvaluationDataset, PositionSampler, StreamDataset
from idiff.data.loading.sequential import SequentialDataset
from idiff.sampling import Sampling


def start_worker(number: int) -> None:
    """Keep a worker process to one thread: the processes share the cores already.

    Args:
        number: which worker; the same settings for each.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def stream_loader(dataset: StreamDataset, sampler: PositionSampler, *, workers: int) -> DataLoader[Any]:
    """Training loader by stream position; yields `types.Batch`."""
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        collate_fn=collate_rows,
        **process_options(workers),
        persistent_workers=workers > 0,
    )


def sequential_loader(dataset: SequentialDataset, *, workers: int) -> DataLoader[Any]:
    """Training loader in shard order; yields `types.Batch`."""
    return DataLoader(
        dataset, batch_size=None, collate_fn=collate_rows, **process_options(workers), persistent_workers=workers > 0
    )


def evaluation_loader(dataset: EvaluationDataset, *, groups: int, sampling: Sampling, workers: int) -> DataLoader[Any]:
    """Evaluation loader; yields `types.Batch` of whole groups of one task. Its workers end with each pass.

    Args:
        dataset: the items of this rank.
        groups: items of a batch; each brings all its prompts.
        sampling: how these rows are sampled.
        workers: worker processes.
    """
    collate = partial(collate_groups, task=dataset.part.name, sampling=sampling)
    return DataLoader(dataset, batch_size=groups, shuffle=False, collate_fn=collate, **process_options(workers))


def process_options(workers: int) -> dict[str, Any]:
    """Arguments of a DataLoader with that many worker processes."""
    # a generator of its own: a loader that begins draws from it, and must not move torch's global random state
    return {"num_workers": workers, "worker_init_fn": start_worker, "generator": torch.Generator().manual_seed(0)}
