"""What the tests of sources share: small images, and the way from a raw folder through shards to a task's promises."""

import contract
from PIL import Image

from idiff.cli.data.commands import run
from idiff.data.datamodule import KeypointDataModule, SegmentationDataModule, TaskDataModule
from idiff.data.shards.reader import ShardSet
from idiff.utils.seeds import numpy_rng

PROMISES = (
    contract.triplets_are_sound,
    contract.same_rng_same_triplet,
    contract.queries_are_deterministic_and_complete,
    contract.queries_show_what_encode_shows,
    contract.oracle_round_trip,
    contract.render_draws_the_answer,
)
"""Promises of a task that hang on its samples."""


def save_picture(path, width, height, seed=0):
    """Gray noise, so that every color of the palette can be read back from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = numpy_rng(seed, "picture").integers(90, 166, (height, width, 3)).astype("uint8")
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def build(source, root, out, *options, split="val"):
    """`idiff data build`, `check` and `browse`, as a user runs them; the shards, verified."""
    words = [source, "--root", str(root), "--split", split, "--out", str(out), *map(str, options)]
    assert run(["build", *words]) == 0
    assert run(["check", str(out)]) == 0
    assert run(["browse", str(out), "--out", str(out.with_suffix(".png"))]) == 0
    assert Image.open(out.with_suffix(".png")).size[0] >= 200
    return ShardSet.open(out, verify=True)


MODULES = {"keypoints": KeypointDataModule, "segmentation": SegmentationDataModule, "referring": TaskDataModule}


def trains_and_keeps_promises(task, shards, *, promises=PROMISES):
    """A data module makes batches of the shards, and the task keeps its promises on the set's own samples."""
    folder, module = str(shards.folder), MODULES[task.kind]
    training = module(task, train=folder, batch_size=2)
    training.setup("fit")
    batch = next(iter(training.train_dataloader()))
    assert batch.source.shape == batch.target.shape == (2, 3, task.size, task.size)
    assert batch.source.isfinite().all() and all(batch.instruction)
    evaluation = module(task, val=folder)
    evaluation.setup("validate")
    loaders = evaluation.val_dataloader()
    asked = next(iter(loaders[0] if isinstance(loaders, list) else loaders))
    assert len(asked.instruction) == len(asked.query) == len(asked.annotation) >= 1
    task.example = OfShards(shards)
    for promise in promises:
        promise(task)


class OfShards:
    """Takes the place of `Task.example`: the samples of a set in turn."""

    def __init__(self, shards):
        self.shards = shards

    def __call__(self, rng):
        return self.shards.read(int(rng.integers(len(self.shards))))
