"""The command `idiff` as a shell sees it: exit codes, sentences on stderr, and what `idiff evaluate` writes."""

import contextlib
import hashlib
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from small_models import ROOT

from idiff import __version__, cli
from idiff.cli import COMMANDS, main, own_code
from idiff.data.shards.reader import ShardSet
from idiff.errors import CheckFailedError, ConfigError
from idiff.stages import TaskTraining
from idiff.types import VOID, Painted

# --- the dispatcher


@pytest.mark.parametrize("words", [["--help"], ["-h"]])
def test_help_lists_every_command(words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_without_a_command_it_shows_the_help_and_exits_2(capsys):
    assert main([]) == 2
    assert "usage: idiff COMMAND" in capsys.readouterr().out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"idiff {__version__}\n"


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "idiff", "vlaidate"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stderr.startswith("idiff: unknown command 'vlaidate'; did you mean 'validate'?")
    assert done.stdout == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_and_a_line(name):
    module, line = COMMANDS[name]
    assert module.startswith("idiff.cli.") and line


@pytest.fixture
def stand_in(monkeypatch):
    """Let `idiff probe` run a function of the test."""

    def install(run):
        module = types.ModuleType("probe_of_the_dispatcher")
        module.run = run
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "probe", (module.__name__, "a stand-in"))

    return install


def raising(error):
    def run(words):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (CheckFailedError("2 faults in set"), 1, "idiff: 2 faults in set\n"),
        (ConfigError("lr is 'x'"), 2, "idiff: lr is 'x'\n"),
        (SystemExit(143), 143, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("words"), 2, ""),
        (KeyboardInterrupt(), 130, "idiff: interrupted\n"),
    ],
)
def test_exit_codes(stand_in, capsys, error, code, sentence):
    stand_in(raising(error))
    assert main(["probe"]) == code
    assert capsys.readouterr().err == sentence


def test_a_command_gets_its_words_and_gives_its_code(stand_in):
    stand_in(lambda words: {"a": 0, "b": 1}[words[0]] + len(words) - 1)
    assert main(["probe", "a"]) == 0
    assert main(["probe", "b"]) == 1
    assert main(["probe", "a", "more"]) == 1


def test_a_bug_keeps_its_traceback(stand_in):
    stand_in(raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError):
        main(["probe"])


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["probe"], False),
        (["data", "check", "set"], False),
        (["data", "build", "synthetic", "--split", "val"], False),
        (["data", "build", "coco", "--root", "./raw.d"], False),
        (["export", "--checkpoint", "a.ckpt"], False),
        (["segment", "a.png", "the red star"], False),
        (["align", "pick", "candidates"], False),
        (["fit", "--config", "a.yaml"], True),
        (["evaluate", "--checkpoint", "a.ckpt"], True),
        (["--debug", "tune"], True),
        (["data", "build", "own_set.Mine", "--split", "val"], True),
        (["data", "build", "--split=val", "own_set:Mine"], True),
        (["data", "filter", "set", "--features", "own.yaml"], True),
        (["segment", "a.png", "the red star", "--trust"], True),
    ],
)
def test_the_working_folder_is_searched_last_and_only_for_classes(words, found, monkeypatch, tmp_path):
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    monkeypatch.chdir(tmp_path)
    own_code.search_here(words)
    assert sys.path == [*before, str(tmp_path)] if found else sys.path == before


@pytest.mark.parametrize(
    "how", [["-m", "idiff"], ["-c", "from idiff.cli import console; console()"]], ids=["-m", "script"]
)
def test_a_file_beside_the_data_never_takes_the_place_of_a_library(how, tmp_path):
    for name in ("cv2", "numpy", "yaml", "lightning", "torch"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    command = [sys.executable, *how, "data", "check", "."]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if "-m" not in how:
        environment["PYTHONSAFEPATH"] = "1"  # as for a script that lies elsewhere
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    assert done.returncode == 2 and "manifest.json is missing" in done.stderr
    assert not (tmp_path / "ran").exists()


# --- evaluate: what it refuses


@pytest.fixture(scope="session")
def checkpoint(uncut):
    """Of a few steps on both tasks."""
    return str(uncut / "checkpoints" / "last.ckpt")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with files that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.ckpt").write_text("no weights")
    torch.save({"state_dict": {}, "config": {}}, tmp_path / "other.ckpt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a_file").write_text("")
    return tmp_path


REFUSED = [
    ({"--checkpoint": "gone.ckpt"}, "gone.ckpt is missing"),
    ({"--checkpoint": "words.ckpt"}, "words.ckpt cannot be read as a checkpoint"),
    ({"--checkpoint": "other.ckpt"}, "other.ckpt holds no diffusion model"),
    ({"--data": "gone"}, "gone/manifest.json cannot be read"),
    ({"--data": "empty"}, "empty/manifest.json cannot be read"),
    ({"--data": "gone", "--task": "segmentation"}, "gone: expected a folder of shards"),
    ({"--task": "segmentatoin"}, "did you mean 'segmentation'"),
    ({"--task": "keypoints"}, "task 'keypoints' works on"),
    ({"--decoder": "colour"}, "did you mean 'color'"),
    ({"--out": "gone/card.json"}, "--out gone/card.json cannot be written"),
    ({"--out": "empty"}, "--out empty cannot be written"),
    ({"--out": "words.ckpt"}, "--out words.ckpt is a file of another kind"),
    ({"--predictions": "a_file"}, "a_file"),
    ({"--limit": "0"}, "got 0, expected 1 or more"),
    ({"--steps": "0"}, "got 0, expected 1 or more"),
    ({"--bootstrap": "-1"}, "got -1, expected 0 or more"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_evaluate_refuses_in_one_sentence(here, checkpoint, shards, capsys, changes, words):
    options = {"--checkpoint": checkpoint, "--data": str(shards / "segmentation" / "val"), "--out": "card.json"}
    assert main(["evaluate", *(word for pair in (options | changes).items() for word in pair)]) == 2
    error = capsys.readouterr().err
    sentences = [line for line in error.splitlines() if line.startswith("idiff: ")]
    assert len(sentences) == 1
    assert error.endswith(f"{sentences[0]}\n")
    assert words in sentences[0]
    assert "Traceback" not in error
    assert not (here / "card.json").exists()


@pytest.mark.parametrize("words", [[], ["--checkpoint", "x"], ["--steps", "many"], ["--no-such-option"]])
def test_evaluate_refuses_words_it_does_not_know(capsys, words):
    assert main(["evaluate", *words]) == 2
    error = capsys.readouterr().err
    assert "idiff evaluate: " in error
    assert "Traceback" not in error


def test_queries_belong_to_tasks_that_ask_for_classes(here, checkpoint, shards, capsys):
    folder = str(shards / "keypoints" / "val")
    code = main(["evaluate", "--checkpoint", checkpoint, "--data", folder, "--queries", "all", "--out", "card.json"])
    assert code == 2
    assert "the task 'keypoints' takes no 'ask'" in capsys.readouterr().err


# --- evaluate: what it writes


def evaluate(checkpoint, folder, out, *more):
    assert main(["evaluate", "--checkpoint", checkpoint, "--data", str(folder), "--out", str(out), *more]) == 0
    return json.loads(out.read_text())


METRICS = {"segmentation": {"miou", "mciou"}, "keypoints": {"ap", "ap50", "ap75", "pck", "pck05"}}
GUESSES = {"segmentation": "largest_class", "keypoints": "mean_pose"}


@pytest.mark.parametrize("task", METRICS)
def test_the_card_has_every_field(here, checkpoint, shards, task, capsys):
    folder = shards / task / "val"
    card = evaluate(checkpoint, folder, here / "card.json", "--steps", "2", "--limit", "3", "--seed", "5")
    assert card["task"] == task
    for part in ("metrics", "ceiling", "painted", "identity"):
        assert set(card[part]) == METRICS[task], part
        assert all(value is None or 0 <= value <= 1 for value in card[part].values()), part
    assert card["bootstrap"] == {"resamples": 1000, "level": 0.95, "unit": "picture"}
    assert set(card["intervals"]) == METRICS[task]
    for name, interval in card["intervals"].items():
        assert interval is None or 0 <= interval[0] <= interval[1] <= 1, name
    assert card["guess"].pop("name") == GUESSES[task]
    assert set(card["guess"]) == METRICS[task]
    assert (card["samples"], card["steps"], card["seed"]) == (3, 2, 5)
    assert card["queries"] > card["samples"]
    assert card["evaluations_per_query"] == 2  # one branch, because guidance is off
    assert card["seconds_per_query"] > 0
    assert card["decoder"] == "color"
    guidance = {"guidance_text": 0.5, "guidance_image": 0.5, "sampler": "ddim", "rule": "instructdiffusion"}
    assert card["guidance"] == guidance | {"stop_unchanged": None}
    assert card["preset"] is False
    assert card["checkpoint"] == {"name": "last.ckpt", "sha256": sha256(checkpoint), "step": 6}
    assert card["data"] == {"path": str(folder), "fingerprint": ShardSet.open(folder).fingerprint}
    assert card["versions"]["idiff"] == __version__
    assert card["versions"]["torch"] == torch.__version__
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("ceiling", "identity", "baseline", *METRICS[task]))
    assert [path.name for path in here.iterdir() if path.name.startswith(".card")] == []


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_two_evaluations_agree_and_another_seed_paints_otherwise(here, checkpoint, shards):
    folder = shards / "segmentation" / "val"
    cards, painted = [], []
    for number, seed in enumerate(("0", "0", "1")):
        files = here / f"predictions{number}"
        more = ["--limit", "2", "--seed", seed, "--predictions", str(files)]
        card = evaluate(checkpoint, folder, here / "card.json", *more)
        cards.append({key: value for key, value in card.items() if key not in {"seconds_per_query", "minutes"}})
        pictures = sorted((files / "segmentation" / "painted").glob("*.png"))
        painted.append([path.read_bytes() for path in pictures])
    assert cards[0] == cards[1]
    assert painted[0] == painted[1]
    assert painted[0] != painted[2]


@pytest.fixture
def fair_painter(monkeypatch):
    """A model of middling skill: it paints what is asked under noise, and forgets every fourth answer."""

    def paint(self, batch):
        rng = torch.Generator().manual_seed(len(batch))
        noisy = batch.target + 0.5 * torch.randn(batch.target.shape, generator=rng)
        forgot = (batch.position % 4 == 0)[:, None, None, None]
        painted = torch.where(forgot, batch.source, noisy.clamp(-1, 1))
        return Painted(painted, batch.source, [batch.sampling.steps] * len(batch))

    monkeypatch.setattr(TaskTraining, "paint", paint)
    monkeypatch.setattr(TaskTraining, "render", lambda self, pictures: pictures)


@pytest.fixture(scope="session")
def larger(tmp_path_factory):
    """16 scenes of either task."""
    folder = tmp_path_factory.mktemp("larger")
    for task in METRICS:
        words = ["--task", task, "--split", "test", "--count", "16", "--seed", "7", "--out", str(folder / task)]
        assert main(["data", "build", "synthetic", *words]) == 0
    return folder


def read_queries(folder):
    return [json.loads(line) for line in (folder / "queries.jsonl").read_text(encoding="utf-8").splitlines()]


def test_masks_score_the_same_elsewhere(here, checkpoint, larger, fair_painter):
    folder = larger / "segmentation"
    card = evaluate(checkpoint, folder, here / "card.json", "--predictions", "out")
    shards = ShardSet.open(folder)
    classes = len(shards.meta["classes"])
    matrix = np.zeros((classes, classes), np.int64)
    for number in range(len(shards)):
        true = shards.read(number).label
        found = np.asarray(Image.open(here / "out" / "segmentation" / "masks" / f"{shards.key(number)}.png"))
        assert found.shape == true.shape
        counted = true != VOID
        np.add.at(matrix, (true[counted], found[counted]), 1)
    hits, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    miou = (hits[union > 0] / union[union > 0]).mean()
    assert 0.2 < miou < 0.95
    low, high = card["intervals"]["miou"]
    assert low < miou < high < low + 0.5
    assert card["metrics"]["miou"] == pytest.approx(miou, abs=1e-6)
    asked = read_queries(here / "out" / "segmentation")
    assert len(asked) == card["queries"] == len(list((here / "out" / "segmentation" / "painted").iterdir()))
    assert {line["query"]["key"] for line in asked} == {shards.key(number) for number in range(len(shards))}
    assert all(line["query"]["name"] in line["prompt"] for line in asked)


def test_keypoints_score_the_same_elsewhere(here, checkpoint, larger, fair_painter):
    folder = larger / "keypoints"
    card = evaluate(checkpoint, folder, here / "card.json", "--predictions", "out")
    images = {line["query"]["key"]: line["query"]["image_id"] for line in read_queries(here / "out" / "keypoints")}
    shards = ShardSet.open(folder)
    people = []
    for number in range(len(shards)):
        sample = shards.read(number)
        for one in sample.annotation["instances"]:
            labelled = sum(joint[2] > 0 for joint in one["keypoints"])
            people.append({
                "id": len(people) + 1, "image_id": images[sample.key], "category_id": 1, "iscrowd": 0, "bbox": one["box"],
                "area": one["area"], "keypoints": np.ravel(one["keypoints"]).tolist(), "num_keypoints": labelled,
            })  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": image} for image in images.values()],
            "categories": [{"id": 1}],
            "annotations": people,
        }
        truth.createIndex()
        found = truth.loadRes(str(here / "out" / "keypoints" / "keypoints.json"))
        scoring = COCOeval(truth, found, "keypoints")
        (skeleton,) = shards.meta["skeletons"].values()
        scoring.params.kpt_oks_sigmas = np.array(skeleton["sigmas"])
        scoring.evaluate()
        scoring.accumulate()
        scoring.summarize()
    ap, ap50, ap75 = scoring.stats[:3]
    assert len(found.anns) == card["samples"] == len(people)
    assert 0.1 < ap < 0.95
    assert card["metrics"]["ap"] == pytest.approx(ap, abs=1e-6)
    assert card["metrics"]["ap50"] == pytest.approx(ap50, abs=1e-6)
    assert card["metrics"]["ap75"] == pytest.approx(ap75, abs=1e-6)
