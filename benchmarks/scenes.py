"""Drawn scenes for the benchmarks: training batches and shards."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from idiff.data.build.builder import build
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import Example
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.types import Batch

HELD_OUT = 1_000_000_007
"""A seed that no training of a shipped model drew from."""

TASKS = {"segmentation": SemanticSegmentation, "keypoints": KeypointDetection}


def training_batches(*, size: int, count: int, side: int = 64) -> list[Batch]:
    """Batches of segmentation and keypoints in turns, as training draws them."""
    found, tasks = [], [(name, kind(size=side)) for name, kind in TASKS.items()]
    sources = {name: SyntheticSource(name, split="train", count=size * count, seed=7, size=side) for name, _ in tasks}
    for number in range(count):
        examples = []
        for row in range(number * size, (number + 1) * size):
            name, task = tasks[row % len(tasks)]
            triplet = task.encode(sources[name].sample(row), 0, np.random.default_rng(row), train=True)
            examples.append(Example(triplet, row, name, []))
        found.append(collate_examples(examples))
    return found


def shards_of(task: str, folder: Path, *, count: int, split: str = "train", seed: int = 7) -> Path:
    """Shards of drawn scenes in a folder of their own."""
    out = folder / f"{task}-{split}"
    build(SyntheticSource(task, split=split, count=count, seed=seed), out, name="synthetic", split=split)
    return out
