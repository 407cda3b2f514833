"""Options of `idiff evaluate` that belong to one kind of task: CLIP, whole images, joints; and real images."""

import contextlib
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_clip import WIDTH, write_clip, write_head
from test_evaluate_benchmarks import coco_ap

from idiff.cli import main
from idiff.errors import CheckpointError, ConfigError, DataError
from idiff.evaluation.clip_metrics import NAMES, clip_metrics
from idiff.stages import TaskTraining
from idiff.tasks import Denoise, InstructEditing
from idiff.types import Painted
from idiff.utils.sigmas import TABLES


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_clip(folder / "clip")
    write_head(folder / "head.safetensors")
    write_head(folder / "other.safetensors", width=WIDTH + 1)
    return folder


def test_without_models_every_name_has_a_reason():
    more, absent = clip_metrics(InstructEditing(), clip=None, aesthetic=None)
    assert more is None and set(absent) == set(NAMES)
    assert all("--clip FOLDER" in reason for reason in absent.values())
    assert clip_metrics(Denoise(), clip=None, aesthetic=None) == (None, {})


def test_without_a_head_only_aesthetic_is_missing(models):
    more, absent = clip_metrics(InstructEditing(), clip=str(models / "clip"), aesthetic=None)
    assert set(more()) == {"clip_sim", "clip_dir"} and list(absent) == ["aesthetic"]
    assert "--aesthetic FILE" in absent["aesthetic"]
    more, absent = clip_metrics(
        InstructEditing(), clip=str(models / "clip"), aesthetic=str(models / "head.safetensors")
    )
    assert set(more()) == set(NAMES) and absent == {}


@pytest.mark.parametrize(
    ("task", "clip", "aesthetic", "error", "words"),
    [
        (Denoise, "clip", None, ConfigError, "the task 'denoise' is not scored by CLIP"),
        (Denoise, None, "head.safetensors", ConfigError, "the task 'denoise' is not scored by CLIP"),
        (InstructEditing, None, "head.safetensors", ConfigError, "give --clip FOLDER, too"),
        (InstructEditing, "gone", None, DataError, "is missing: expected a part of a CLIP model"),
        (InstructEditing, "clip", "gone", DataError, "is missing: expected the weights of an aesthetic predictor"),
        (InstructEditing, "clip", "other.safetensors", ConfigError, f"takes features of {WIDTH + 1} numbers, got {WIDTH}"),
        (InstructEditing, "clip", "clip/model.safetensors", CheckpointError, "is not an aesthetic head"),
    ],
)  # fmt: skip
def test_models_that_cannot_be_used_are_refused(models, task, clip, aesthetic, error, words):
    paths = [None if name is None else str(models / name) for name in (clip, aesthetic)]
    with pytest.raises(error, match=words):
        clip_metrics(task(), clip=paths[0], aesthetic=paths[1])


def run(line):
    return main(shlex.split(line))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_card_of_edits_without_clip_says_why(here):
    assert run("data build synthetic --task editing --split val --count 3 --seed 1 --out set") == 0
    assert run("evaluate --checkpoint tiny --data set --steps 1 --bootstrap 0 --out card.json") == 0
    card = json.loads(Path("card.json").read_text())
    assert all(card["metrics"][name] is None and "--clip" in card["null"][name] for name in NAMES)
    assert card["metrics"]["psnr_inside"] > 0 and "psnr_inside" not in card["null"]
    assert card["intervals"] == {} and card["bootstrap"]["resamples"] == 0


@pytest.mark.parametrize(
    ("task", "option", "says"),
    [
        ("segmentation", ["--whole"], "takes no 'whole'"),
        ("denoise", ["--joints", "coco"], "takes no 'score'"),
        ("denoise", ["--set", "size=32"], "was trained with it, so it cannot be changed. Can be set: phrasings"),
        ("denoise", ["--set", "whle=true"], "takes no 'whle'; did you mean 'whole'"),
        ("denoise", ["--set", "whole"], "expected NAME=VALUE"),
        ("denoise", ["--set", "flip_test=maybe"], "--set flip_test: got 'maybe', expected true or false"),
        ("denoise", ["--set", "whole=true", "--set", "whole=false"], "whole is set twice"),
        ("denoise", ["--clip", "x"], "the task 'denoise' is not scored by CLIP"),
    ],
)
def test_options_of_other_tasks_are_refused(here, capsys, task, option, says):
    assert run(f"data build synthetic --task {task} --split val --count 1 --seed 1 --out set") == 0
    assert main(["evaluate", "--checkpoint", "tiny", "--data", "set", *option, "--out", "card.json"]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error and not Path("card.json").exists()


@pytest.fixture
def shifting_painter(monkeypatch):
    """Paints each joint a little beside, each image in another direction."""

    def paint(self, batch):
        moves = (batch.position % 5 - 2).tolist()
        rows = [row.roll(move, dims=-1) for row, move in zip(batch.target - batch.source, moves, strict=True)]
        return Painted(batch.source + torch.stack(rows), batch.source, [batch.sampling.steps] * len(batch))

    monkeypatch.setattr(TaskTraining, "paint", paint)
    monkeypatch.setattr(TaskTraining, "render", lambda self, pictures: pictures)


REAL = {"coco": "coco-keypoints", "ap10k": "ap10k", "humanart": "humanart", "crowdpose": "crowdpose"}


@pytest.mark.parametrize("name", REAL)
def test_real_pictures_are_scored_as_pycocotools_scores_the_file(here, real_data, shifting_painter, name):
    """The card's figures are those of the set's own annotation file and the written results."""
    root = real_data / "formats" / name
    if not root.is_dir():
        pytest.skip(f"no {root}")
    file = root / f"test_{name}.json"
    words = ["--root", str(root), "--split", "val", "--annotations", str(file), "--images", str(root), "--out", "set"]
    assert main(["data", "build", REAL[name], *words]) == 0
    joints = ["--joints", "coco"] if name == "ap10k" else []
    words = ["--predictions", "out", "--bootstrap", "100", *joints, "--out", "card.json"]
    assert main(["evaluate", "--checkpoint", "tiny", "--data", "set", *words]) == 0
    card = json.loads(Path("card.json").read_text())
    value = json.loads(file.read_text())
    for entry in value["annotations"]:
        entry.setdefault("area", entry["bbox"][2] * entry["bbox"][3] * 0.53)
        entry["keypoints"] = entry["keypoints"][: 3 * 17]
    expected = coco_ap(value, Path("out/keypoints/keypoints.json"), shared=bool(joints))
    for metric, figure in expected.items():
        assert card["metrics"][metric] == pytest.approx(figure, abs=1e-6), metric
    assert 0 < card["metrics"]["ap"] < card["painted"]["ap"] <= 1


def test_the_official_evaluation_of_coco_punishes_no_more(here, real_data, shifting_painter):
    """With people whom nobody asked about in the truth, as in the published file, the score is the card's or more."""
    root = real_data / "formats/coco"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    file = root / "test_coco.json"
    words = ["--root", str(root), "--split", "val", "--annotations", str(file), "--images", str(root), "--out", "set"]
    assert main(["data", "build", "coco-keypoints", *words]) == 0
    words = ["--predictions", "out", "--bootstrap", "0", "--out", "card.json"]
    assert main(["evaluate", "--checkpoint", "tiny", "--data", "set", *words]) == 0
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        scoring = COCOeval(truth, truth.loadRes("out/keypoints/keypoints.json"), "keypoints")
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    assert np.allclose(scoring.params.kpt_oks_sigmas, list(TABLES["coco"].values()))
    card = json.loads(Path("card.json").read_text())
    assert card["metrics"]["ap"] - 1e-6 <= scoring.stats[0] < card["metrics"]["ap"] + 0.1
