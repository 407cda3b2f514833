"""Where the examples beside questions come from, and what a training and its checkpoint know of them."""

import itertools

import numpy as np
import pytest
import torch
import yaml
from contract import same
from fit_runs import CONFIGS, CutAt, CutError, assert_same_state, fit_with, state

from idiff.cli import main
from idiff.data.latent_cache.writer import Views
from idiff.data.loading.dataset import EvaluationDataset
from idiff.data.loading.example_pairs import TRIES, other_samples
from idiff.data.loading.training import TaskEntry, open_evaluation, open_training
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError
from idiff.models.io.checkpoint import load
from idiff.pipeline import Pipeline
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.example_pair import ExamplePair
from idiff.tasks.saved import restore_task
from idiff.utils.images import to_picture
from idiff.utils.seeds import numpy_rng


@pytest.fixture(scope="module")
def sets(shards):
    return {
        name: {split: str(shards / name / split) for split in ("train", "val")}
        for name in ("segmentation", "keypoints")
    }


def entry(sets, name="segmentation", task=None, **options):
    task = task or {"segmentation": SemanticSegmentation, "keypoints": KeypointDetection}[name]()
    return TaskEntry(task, example="pair", **{**sets[name], **options})


def test_others_are_never_of_the_items_own_sample(sets):
    for unit, name in (("picture", "segmentation"), ("instances", "keypoints")):
        shards, seen = ShardSet.open(sets[name]["train"]), set()
        for item in range(shards.count(unit)):
            own = shards.locate(unit, item)[0]
            others = other_samples((shards, item), unit, numpy_rng(0, item))
            drawn = {shards.locate(unit, other)[0] for other in others.items}
            assert 0 < len(others) <= TRIES and own not in drawn
            seen |= drawn
        assert seen == set(range(len(shards)))


def test_others_of_a_far_set_lie_in_the_same_shard(sets, tmp_path, monkeypatch):
    words = ["--task", "keypoints", "--count", "12", "--shard-size", "4", "--out", str(tmp_path / "far")]
    assert main(["data", "build", "synthetic", "--split", "train", *words]) == 0
    shards = ShardSet.open(tmp_path / "far")
    assert len(shards.manifest.shards) > 1
    monkeypatch.setattr(type(shards.folder), "far", True)
    for unit, item in itertools.product(("picture", "instances"), range(12)):
        shard = shards.where(shards.locate(unit, item)[0]).partition(":")[0]
        others = other_samples((shards, item), unit, numpy_rng(0, item)).items
        assert {shards.where(shards.locate(unit, other)[0]).partition(":")[0] for other in others} == {shard}


def test_evaluation_shows_training_samples_and_always_the_same(sets):
    (part,) = open_evaluation({"it": entry(sets)}, "val")
    (alone,) = open_evaluation({"it": entry(sets, train=None)}, "val")
    trained = {ShardSet.open(sets["segmentation"]["train"]).key(index) for index in range(24)}
    for one, known in ((part, trained), (alone, {alone.shards.key(index) for index in range(len(alone.shards))})):
        data, again = EvaluationDataset(one), EvaluationDataset(one, samples=2)
        shown = {triplet.query["example"] for index in range(len(data)) for triplet in data[index].triplets} - {None}
        assert shown and shown <= known
        for first, second in zip(data[again.items[1]].triplets, again[1].triplets, strict=True):
            same(first, second)
    assert all(triplet.query["example"] != triplet.query["key"] for triplet in EvaluationDataset(alone)[0].triplets)


def test_a_training_set_that_is_gone_is_said_and_the_split_itself_is_shown(sets, tmp_path, caplog):
    (part,) = open_evaluation({"it": entry(sets, train=str(tmp_path / "gone"))}, "val")
    assert part.examples is None and "come from" in caplog.text


def test_training_reads_what_a_position_says(sets):
    trained = {"people": entry(sets, "keypoints"), "shapes": entry(sets)}
    one, two = (open_training(trained, seed=3, epoch_samples=None).dataset(None, 0.01) for _ in range(2))
    shown = set()
    for position in (5, 0, 17, 5, 30):
        first, second = one[position].triplet, two[position].triplet
        same(first, second)
        assert first.source.shape == (3, 64, 64) and first.query["example"] != first.query["key"]
        shown.add(first.query["example"])
    assert len(shown) > 2


def test_views_of_a_cache_have_examples_of_their_own(sets):
    (part,) = open_evaluation({"it": entry(sets)}, "train")
    views = Views(part, views=6, seed=0)
    shown = [views[index].query["example"] for index in range(6)]
    assert len(set(shown)) > 1 and shown == [views[index].query["example"] for index in range(6)]


def test_reading_in_order_is_refused_and_so_is_a_set_of_one(sets, tmp_path):
    with pytest.raises(ConfigError, match="expected mode indexed"):
        open_training({"it": entry(sets)}, seed=0, epoch_samples=8)
    words = ["--task", "segmentation", "--split", "train", "--count", "1", "--out", str(tmp_path / "one")]
    assert main(["data", "build", "synthetic", *words]) == 0
    with pytest.raises(DataError, match="expected two or more"):
        open_training({"it": entry(sets, train=str(tmp_path / "one"))}, seed=0, epoch_samples=None)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, sets):
    """A configuration of two tasks with examples, on the model that ships."""
    place = tmp_path_factory.mktemp("pair")
    tasks = {
        name: {
            "include": str(CONFIGS / "task" / f"{name}.yaml"),
            "example": "pair",
            "sampling": {"steps": 1},
            **folders,
        }
        for name, folders in sets.items()
    }
    config = {
        "include": [str(CONFIGS / "stage" / "tasks.yaml"), str(CONFIGS / "model" / "tiny.yaml")],
        "data": {"class_path": "MixtureDataModule", "tasks": tasks, "batch_size": 2, "val_samples": 2},
        "ema": {"decay": 0.9},
        "last": {"every_n_steps": 1},
        "trainer": {
            "default_root_dir": "run", "max_steps": 3, "val_check_interval": 3, "log_every_n_steps": 1,
            "accelerator": "cpu", "enable_model_summary": False,
        },
    }  # fmt: skip
    (place / "pair.yaml").write_text(yaml.safe_dump(config))
    return place


@pytest.fixture(scope="module")
def trained(experiment):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(experiment)
        assert main(["fit", "--config", "pair.yaml"]) == 0
    return experiment / "run" / "checkpoints" / "last.ckpt"


def test_a_run_that_was_cut_goes_on_bit_by_bit(trained, experiment, monkeypatch):
    monkeypatch.chdir(experiment)
    words = ["fit", "--config", "pair.yaml", "--trainer.default_root_dir", "cut"]
    with pytest.raises(CutError):
        fit_with(monkeypatch, words, CutAt(2))
    assert main([*words, "--ckpt_path", "last"]) == 0
    assert_same_state(state(experiment / "cut"), state(experiment / "run"))


def test_its_checkpoint_is_evaluated_with_examples(trained, sets, tmp_path, capsys):
    folders = sets["segmentation"]
    words = [
        "evaluate",
        "--checkpoint",
        str(trained),
        "--data",
        folders["val"],
        "--task",
        "segmentation",
        "--limit",
        "2",
    ]
    words += ["--out", str(tmp_path / "card.json"), "--bootstrap", "0"]
    assert main(words) == 0
    assert main([*words, "--examples", folders["train"], "--predictions", str(tmp_path / "found")]) == 0
    lines = (tmp_path / "found" / "segmentation" / "queries.jsonl").read_text()
    assert '"example"' in lines and '"cell"' in lines
    choice = restore_task(load(trained).config, "segmentation", data="", changes={"size": 32})
    assert isinstance(choice.task, ExamplePair) and choice.task.side == 16


def test_examples_for_a_task_without_are_refused(sets, tmp_path, capsys):
    words = [
        "evaluate",
        "--checkpoint",
        "tiny",
        "--data",
        sets["keypoints"]["val"],
        "--out",
        str(tmp_path / "card.json"),
    ]
    assert main([*words, "--examples", sets["keypoints"]["train"]]) == 2
    assert "shows none" in capsys.readouterr().err


def test_a_pipeline_is_asked_with_an_example(trained, sets):
    pipe, shards = Pipeline(trained), ShardSet.open(sets["segmentation"]["val"])
    shown, asked = shards.read(0).image, np.ascontiguousarray(shards.read(1).image[:40])
    with pytest.raises(ConfigError, match="with_example"):
        pipe.segment(asked, "star")
    answer = pipe.with_example(shown, shown).segment(asked, "star")
    assert answer.mask.shape == asked.shape[:2] and answer.painted[0].shape == asked.shape
    assert answer.prompts[0].endswith("Do it as in the example.")
    points = pipe.with_example(shown, shown).keypoints(asked, "nose")
    assert points.overlay.shape == asked.shape
    with pytest.raises(ConfigError, match="expected one size"):
        pipe.with_example(shown, shown[:20])
    with pytest.raises(ConfigError, match="takes none"):
        Pipeline("tiny").with_example(shown, shown).segment(asked, "star")


def test_an_answer_is_cut_out_of_the_picture_that_was_painted(trained, sets, monkeypatch):
    """What the model paints into the answer's cell is what the image shows; the other cells are not looked at."""
    pipe, shards = Pipeline(trained), ShardSet.open(sets["segmentation"]["val"])
    asked, painted = shards.read(1).image, []

    def edit(source, prompts, **options):
        made = -torch.ones_like(source)
        made[:, :, 32:, 32:] = 1
        painted.append(source)
        return made

    monkeypatch.setattr(pipe.backbone, "edit", edit)
    answer = pipe.with_example(asked, asked).segment(asked, "star")
    assert (answer.painted[0] > 250).all()
    assert (
        np.abs(to_picture(painted[0][0, :, :32, :32]).astype(int) - to_picture(painted[0][0, :, 32:, 32:])).max() == 0
    )
