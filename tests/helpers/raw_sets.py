"""Small folders in the layouts that data sets are published in, and what every source promises about its samples."""

from __future__ import annotations

import json
from pathlib import Path

import contract
import numpy as np
from shard_making import file_bytes

from idiff.data.build.builder import build
from idiff.data.datamodule import TaskDataModule
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.data.sources import create
from idiff.tasks.base import Task
from idiff.types import Sample

SIZE = 32
_INDEPENDENT_OF_DATA = {
    contract.odd_inputs,
    contract.instructions_fit_the_tokenizer,
    contract.metrics_of_nothing_are_nan,
}


def smooth(seed: int, height: int = 40, width: int = 48) -> np.ndarray:
    """An image without fine grain, so that codecs and resizing leave it nearly as it is: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / rng.uniform(5, 9) + rng.uniform(0, 6)) + np.cos(y / rng.uniform(5, 9)) for _ in range(3)]
    return np.clip(128 + 50 * np.stack(waves, axis=2), 0, 255).astype(np.uint8)


def damaged(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 40, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def edited(picture: np.ndarray) -> np.ndarray:
    """The image with a square of another color in it."""
    after = picture.copy()
    after[8:30, 10:34] = (250, 10, 20)
    return after


def put(path: Path, picture: np.ndarray) -> bytes:
    """Write an image file in the format of its suffix; returns its bytes."""
    forms = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}
    data = file_bytes(picture, forms[path.suffix.lower()])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def put_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def made(tmp_path: Path, name: str, **options) -> tuple[ShardSet, list[dict]]:
    """Build a source as the command does; returns the shards, which are sound, and the rejected lines."""
    out = tmp_path / f"shards-{len(list(tmp_path.glob('shards-*')))}"
    build(create(name, options), out, name=name, split=options["split"], options=options)
    assert list(check(out)) == []
    rejected = out / "rejected.jsonl"
    lines = rejected.read_text().splitlines() if rejected.exists() else []
    return ShardSet.open(out, verify=True), [json.loads(line) for line in lines]


def serves(shards: ShardSet, task: Task, *, promises: bool = True) -> None:
    """The shards feed a data module of the task, and the task keeps its promises on their samples."""
    assert task.kind in shards.manifest.tasks
    data = TaskDataModule(task, train=str(shards.folder), batch_size=min(2, len(shards)))
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch.target.shape == (len(batch), 3, task.size, task.size)
    assert batch.target.isfinite().all() and not batch.bad
    read = [shards.read(place) for place in range(len(shards))]
    drawn = iter(range(10**6))

    class OnShards(type(task)):
        @classmethod
        def example(cls, rng: np.random.Generator) -> Sample:
            return read[next(drawn) % len(read)] if len(read) == 1 else read[int(rng.integers(len(read)))]

    if promises:
        task.__class__ = OnShards
        for promise in contract.PROMISES:
            if promise not in _INDEPENDENT_OF_DATA and promise is not contract.guess_is_a_combined_prediction:
                promise(task)
