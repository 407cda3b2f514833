"""From shards to ready batches, beside webdataset's streaming pipeline: CPU seconds of this process and its workers.

Both read the same shards of made photographs with label maps, in random order: ours by position over the whole set, the peer from
shuffled shards through a buffer. Both cut squares as wide as the shorter side. Each turn is one pass over the set.
"""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from loading import Photos
from measuring import Finding, Scale, in_turns, ratio
from peer_loading import Example, peer_loader

from idiff.data.build.builder import build
from idiff.data.datamodule import SegmentationDataModule
from idiff.data.sources.base import RawSample
from idiff.tasks import SemanticSegmentation
from idiff.tasks.instructions import InstructionBank

COUNT, BATCH, SIDE = 384, 16, 256
"""Images of a pass, of a batch, and the side of an example in pixels: the paper's."""

CLASSES = ["background", *(f"thing {number}" for number in range(1, 15))]


class Labelled(Photos):
    """Made photographs of 640 x 480 with a label map of blobs."""

    def meta(self):
        return {"classes": CLASSES}

    def sample(self, index):
        raw = super().sample(index)
        coarse = np.random.default_rng(index).integers(0, len(CLASSES), (6, 8), dtype=np.uint8)
        labels = cv2.resize(coarse, self.shape[::-1], interpolation=cv2.INTER_NEAREST)
        return RawSample(raw.key, raw.image, {}, label=labels)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def run_through(loader: Iterable[Any], *, expected: int) -> None:
    """Read every batch; the workers end with the loader.

    Raises:
        RuntimeError: there are more or fewer batches than expected.
    """
    found = sum(1 for _ in loader)
    if found != expected:
        raise RuntimeError(f"{found} batches of one pass, expected {expected}")


def passes(folder: Path, *, count: int, workers: int) -> dict[str, Callable[[], None]]:
    """One pass of either side over the shards in a folder."""
    task = SemanticSegmentation(size=SIDE, frame="crop")
    sentences = [template.sentence for template in InstructionBank("segmentation").templates]
    shards = sorted(str(file) for file in folder.glob("*.tar"))
    data = SegmentationDataModule(task, train=str(folder), batch_size=BATCH, num_workers=workers)
    data.setup("fit")

    def ours() -> None:
        run_through(data.train_dataloader(), expected=count // BATCH)

    def peer() -> None:
        example = Example(SIDE, CLASSES, sentences)
        run_through(peer_loader(shards, example, batch=BATCH, workers=workers, samples=count), expected=count // BATCH)

    return {"ours": ours, "peer": peer}


def made(folder: Path, *, count: int) -> Path:
    """Shards of made photographs."""
    out = folder / "photos"
    build(Labelled(count, 480, 640), out, name="photos", split="train", shard_size=max(1, count // 8))
    return out


def measure(scale: Scale) -> dict[str, Finding]:
    """The key of loading."""
    cv2.setNumThreads(1)
    count = max(4, round(scale.of(COUNT) / BATCH)) * BATCH
    with tempfile.TemporaryDirectory() as folder:
        shards = made(Path(folder), count=count)
        timed = {
            workers: in_turns(passes(shards, count=count, workers=workers), rounds=scale.rounds, clock=cpu_seconds)
            for workers in (0, 2)
        }
    plain, several = timed[0], timed[2]
    more = {
        "images": count, "with_2_workers": round(ratio(several["peer"], several["ours"]), 3),
        "ours_2_workers": several["ours"].plain(), "peer_2_workers": several["peer"].plain(),
        "ours_images_per_cpu_second": round(count / plain["ours"].median, 1),
    }  # fmt: skip
    words = (
        f"CPU seconds of a pass over {count} photographs of 640 x 480 with label maps, from shards to batches of {BATCH} at {SIDE} "
        "px: decode, crop, resize, color changes, painting; ours against webdataset with Pillow, without workers."
    )
    return {
        "loading_ratio": Finding(
            ratio(plain["peer"], plain["ours"]), words, plain["ours"], plain["peer"], None, more=more
        )
    }


def profiled() -> dict[str, Callable[[], object]]:
    """Name -> a pass of either side, for the profiler."""
    folder = tempfile.TemporaryDirectory()
    ways = passes(made(Path(folder.name), count=64), count=64, workers=0)
    ways["ours"].__dict__["folder"] = folder  # it lives as long as the calls
    return {f"loading_{name}": way for name, way in ways.items()}
