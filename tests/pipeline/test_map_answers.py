"""Depth, normals and instances of an image: values, files, colored view; a model that never learnt them says so."""

import json

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_masks
from small_models import ROOT

from idiff import Pipeline
from idiff.cli import main
from idiff.errors import ConfigError, UntrustedError
from idiff.pipeline import UNFAMILIAR
from idiff.pipeline.files import write_answer
from idiff.sampling import Sampling
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.asking import Asking
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.instances import InstanceSegmentation
from idiff.tasks.normals import SurfaceNormals
from idiff.tasks.saved import TaskChoice


@pytest.fixture(scope="module")
def pipe():
    return Pipeline("tiny")


@pytest.mark.parametrize("kind", ["depth", "normals"])
def test_what_a_model_that_learnt_it_answers(pipe, kind, monkeypatch, tmp_path):
    task = {"depth": DepthEstimation, "normals": SurfaceNormals}[kind]()
    choice = TaskChoice(kind, task, Sampling(steps=1), task.settings)
    monkeypatch.setattr(pipe, "_first", lambda *kinds: choice)
    monkeypatch.setattr(pipe, "_trained", lambda choice: choice)
    picture = np.random.default_rng(0).integers(0, 256, (40, 72, 3)).astype(np.uint8)
    answer = getattr(pipe, kind)(picture)
    assert answer.values.shape == ((40, 72) if kind == "depth" else (40, 72, 3)) and answer.values.dtype == np.float32
    assert answer.overlay.shape == picture.shape and not np.array_equal(answer.overlay, picture)
    assert str(answer).startswith(f"{kind}: a map of 72 x 40 pixels")
    paths = {path.name: path for path in write_answer(answer, tmp_path, "a", compare=True)}
    assert set(paths) == {"a_view.png", f"a_{kind}.png", "a_compare.png"}
    stored = cv2.imread(str(paths[f"a_{kind}.png"]), cv2.IMREAD_UNCHANGED)
    named = {path.name for path in write_answer(answer, tmp_path, f"cat_{kind}_2")}
    assert named == {f"cat_{kind}_2.png", f"cat_{kind}_2_view.png"}
    assert stored.dtype == np.uint16
    if kind == "depth":
        assert np.abs(stored / 1000 - np.minimum(answer.values, 65.535)).max() < 1e-3
    else:
        assert np.abs(stored[..., ::-1] / 32767.5 - 1 - answer.values).max() < 1e-4
        assert np.allclose(np.linalg.norm(answer.values, axis=-1), 1, atol=1e-4)


def test_instances_are_named_masks_with_scores_and_a_notice_where_colors_run_out(pipe, monkeypatch, tmp_path):
    task = InstanceSegmentation()
    monkeypatch.setattr(pipe, "_first", lambda *kinds: TaskChoice("instances", task, Sampling(steps=1), task.settings))
    monkeypatch.setattr(pipe, "ood_score", None)
    picture = np.full((40, 72, 3), 120, np.uint8)

    def paint(count):
        def painted(triplets, choice):
            edited = triplets[0].source.clone()
            for place in range(count):
                rgb = torch.tensor(triplets[0].query["rgbs"][place]) / 127.5 - 1
                edited[:, 20:30, 10 * place : 10 * place + 6] = rgb[:, None, None]
            return edited[None], triplets[0].source[None]

        return painted

    monkeypatch.setattr(pipe, "_paint", paint(3))
    answer = pipe.instances(picture, "star")
    assert len(answer.instances) == 3 and str(answer).startswith("instances 'star': 3 found")
    assert all(mask.shape == (40, 72) and 0 < score <= 1 for mask, score in answer.instances)
    assert list(answer.colors) == ["star 1", "star 2", "star 3"] and "All 6 colors" not in (answer.notice or "")
    paths = {path.name: path for path in write_answer(answer, tmp_path, "a", compare=True)}
    assert set(paths) == {"a_view.png", "a_instances.png", "a.json", "a_compare.png"}
    numbers = cv2.imread(str(paths["a_instances.png"]), cv2.IMREAD_UNCHANGED)
    rows = json.loads(paths["a.json"].read_text())
    assert [row["name"] for row in rows] == ["star"] * 3 and set(np.unique(numbers)) == {0, 1, 2, 3}
    for place, (row, (mask, score)) in enumerate(zip(rows, answer.instances, strict=True)):
        assert np.array_equal(coco_masks.decode(row["segmentation"]), mask) and row["score"] == round(score, 4)
        assert np.array_equal(numbers == place + 1, mask) and row["area"] == mask.sum()
        assert row["bbox"] == coco_masks.toBbox(row["segmentation"]).tolist()
    monkeypatch.setattr(pipe, "_paint", paint(6))
    assert "All 6 colors are in use: there may be more objects" in pipe.instances(picture, "star").notice
    monkeypatch.setattr(pipe, "_paint", paint(0))
    none = pipe.instances(picture, "star")
    assert (
        none.instances == [] and set(write_answer(none, tmp_path, "n")) and (tmp_path / "n.json").read_text() == "[]\n"
    )
    with pytest.raises(ConfigError, match="expected words"):
        pipe.instances(picture)


@pytest.mark.parametrize("kind", ["depth", "normals", "instances"])
def test_the_model_of_every_task_answers_and_tiny_says_that_it_cannot(kind, tmp_path, capsys):
    words = ["star"] if kind == "instances" else []
    assert main([kind, "example:objects", *words, "--out", str(tmp_path / "all")]) == 0
    json_file = {"objects_instances.json"} if kind == "instances" else set()
    written = {path.name for path in (tmp_path / "all").iterdir()}
    assert written == {f"objects_{kind}.png", f"objects_{kind}_view.png"} | json_file
    capsys.readouterr()
    assert main([kind, "example:objects", *words, "--checkpoint", "tiny", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert (
        error.startswith(f"idiff: the checkpoint was trained on no task '{kind}'. Known: ") and error.count("\n") == 1
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["depth", "segment", "edit"])
def test_a_missing_file_is_named_before_a_missing_task(command, tmp_path, capsys):
    words = [] if command == "depth" else ["the red star"]
    assert main([command, str(tmp_path / "gone.png"), *words]) == 2
    assert "gone.png is missing: expected an image" in capsys.readouterr().err


class Nearby(DepthEstimation):
    """A task of a user's own."""

    def combine(self, predictions, queries):
        one = super().combine(predictions, queries)
        one.values = one.values.clamp(max=2.0)
        return one


def test_a_task_of_ones_own_is_asked_by_its_name_or_kind_where_its_code_is_trusted(pipe, monkeypatch):
    config = {"tasks": {"mine": {"task": {"class_path": f"{__name__}.Nearby"}, "sampling": {"steps": 1}}}}
    monkeypatch.setattr(pipe.loaded, "config", config)
    picture = np.random.default_rng(0).integers(0, 256, (40, 72, 3)).astype(np.uint8)
    with pytest.raises(UntrustedError, match="Nearby"):
        pipe.ask("mine", picture)
    monkeypatch.setattr(pipe, "trust", True)
    answers = [pipe.ask(name, picture) for name in ("mine", "depth", ("gone", "mine"))] + [pipe.depth(picture)]
    assert all(answer.values.shape == (40, 72) and 0 < answer.values.max() <= 2 for answer in answers)
    with pytest.raises(ConfigError, match="trained on no task 'mien'; did you mean 'mine'"):
        pipe.ask("mien", picture)


def test_a_task_the_model_never_saw_is_asked_by_its_yaml(pipe):
    picture = np.random.default_rng(0).integers(0, 256, (40, 72, 3)).astype(np.uint8)
    asked = pipe.with_settings(Asking(steps=1, size=32))
    answer = asked.ask(str(ROOT / "configs/task/normals.yaml"), picture)
    assert answer.task == "normals" and answer.values.shape == (40, 72, 3)


@pytest.mark.parametrize(("task", "family"), [("depth", "solids"), ("segmentation", "flat")])
def test_the_shipped_model_knows_scenes_like_those_it_was_trained_on(task, family):
    pipe = Pipeline("tiny-all")
    scenes = SyntheticSource(task, split="test", count=20, seed=1_000_000_007, family=family)
    scores = [pipe.edges(scenes.sample(number).image).ood_score for number in range(20)]
    assert sum(score < UNFAMILIAR for score in scores) <= 3
