"""What each worker process of a loader reads, so that a worker that was killed can be named with its sample."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_PIDS = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")
_NOTHING = -1

_tables: weakref.WeakKeyDictionary[Any, Tensor] = weakref.WeakKeyDictionary()
"""Dataset -> (workers, 2): process id, and the place that it read last."""

_own: Tensor | None = None
"""In a worker: its row."""


def table_of(dataset: Any, workers: int) -> Tensor:
    """Shared memory in which the workers of a loader note what they read; `dataset.where(place)` puts it into words."""
    table: Tensor = torch.full((workers, 2), _NOTHING, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
    _tables[dataset] = table
    return table


def begin(table: Tensor, worker: int) -> None:
    """Called in a worker process when it starts."""
    global _own  # noqa: PLW0603 - one a process
    _own = table[worker]
    _own[0] = os.getpid()


def note(place: int) -> None:
    """Note what this process reads now; nothing outside of a worker."""
    if _own is not None:
        _own[1] = place


def killed(text: str) -> str | None:
    """A sentence on the worker that torch says was killed, and on its sample.

    Args:
        text: torch's words.

    Returns:
        None where it is about no worker of these loaders.
    """
    found = _PIDS.search(text)
    if found is None:
        return None
    pids = {int(word) for word in found[1].split(",")}
    for dataset, table in list(_tables.items()):
        for worker, (pid, place) in enumerate(table.tolist()):
            if pid in pids:
                where: Callable[[int], str] = getattr(dataset, "where", str)
                at = f" at {where(place)}" if place != _NOTHING else ""
                return (
                    f"worker {worker} of a loader (process {pid}) was killed{at}, as where memory is full. Go on with "
                    "--ckpt_path last and fewer data.num_workers; `idiff data check` tells whether the sample is whole."
                )
    return None
