"""Images of several shapes in one set are validated, each at its own; and answered about."""

import json

import numpy as np
import pytest
from set_making import build, save_picture

from idiff.callbacks.benchmark import Benchmark
from idiff.cli.trainer import scoring_trainer
from idiff.data.datamodule import TaskDataModule
from idiff.data.shards.reader import ShardSet
from idiff.evaluation.measure import Painting, measure
from idiff.sampling import Sampling
from idiff.tasks import InstructEditing, SemanticSegmentation
from idiff.tasks.saved import TaskChoice

SHAPES = [(90, 60), (64, 64), (60, 150), (150, 60)]


@pytest.fixture(scope="module")
def edits(tmp_path_factory):
    """Shards of four edits, of as many shapes."""
    folder = tmp_path_factory.mktemp("edits")
    pairs = []
    for number, (width, height) in enumerate(SHAPES):
        names = [f"{number}_{part}.png" for part in ("a", "b")]
        for seed, name in enumerate(names):
            save_picture(folder / "raw" / "val" / name, width, height, seed=2 * number + seed)
        pairs.append({"input": names[0], "edited": names[1], "instruction": "Make it other noise."})
    (folder / "raw" / "val" / "edits.json").write_text(json.dumps(pairs))
    build("edit-list", folder / "raw", folder / "val")
    return folder / "val"


def test_each_item_is_a_batch_of_its_own_shape(edits):
    module = TaskDataModule(InstructEditing(frame="native64"), val=str(edits), val_groups=8)
    module.setup("validate")
    shapes = [tuple(batch.source.shape[2:]) for batch in module.val_dataloader()[0]]
    assert len(shapes) == 4 and set(shapes) == {(64, 64), (64, 128), (128, 64)}
    module = TaskDataModule(InstructEditing(frame="crop"), val=str(edits), val_groups=8)
    module.setup("validate")
    assert [tuple(batch.source.shape) for batch in module.val_dataloader()[0]] == [(4, 3, 64, 64)]


@pytest.mark.parametrize("frame", ["native64", "crop"])
def test_a_set_of_several_shapes_is_scored(backbone, edits, frame):
    task = InstructEditing(frame=frame)
    choice = TaskChoice("editing", task, Sampling(steps=1), dict(task.settings))
    evaluate = Benchmark(resamples=0, seed=0)
    score, _ = measure(scoring_trainer(), Painting(backbone), choice, data=str(edits), evaluate=evaluate)
    assert score.samples == 4
    assert np.isfinite(score.metrics["psnr_inside"]) and score.painted["psnr_inside"] > 25


def test_training_sees_squares(edits):
    shards = ShardSet.open(str(edits))
    for kind in (InstructEditing(frame="native64"), InstructEditing(frame="crop")):
        for number in range(4):
            triplet = kind.encode(shards.read(number), 0, np.random.default_rng(number), train=True)
            assert triplet.source.shape == triplet.target.shape == (3, 64, 64)


def test_classes_are_trained_on_square_crops_without_padding():
    task = SemanticSegmentation(frame="native64", augment=[])
    sample = SemanticSegmentation.example(np.random.default_rng(0))
    sample.image, sample.label = np.repeat(sample.image, 4, axis=1), np.repeat(sample.label, 4, axis=1)
    for seed in range(20):
        triplet = task.encode(sample, 0, np.random.default_rng(seed), train=True)
        assert triplet.source.shape == (3, 64, 64) and not bool((triplet.source == 0).all(dim=0).any())
    (first, *_) = task.queries(sample, 0)
    height, width = sample.image.shape[:2]
    assert first.source.shape[1] < first.source.shape[2] and width > height
