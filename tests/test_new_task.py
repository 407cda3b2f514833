"""A further task needs one new file and one YAML, and no edit of what is there: docs/new-task.md, executed."""

import csv
import importlib
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from contract import PROMISES
from small_models import TEXT, UNET
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from idiff.cli import console

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "new-task.md").read_text(encoding="utf-8")
BLOCKS = {name: text for text, name in re.findall(r"^```\w+\n(# (\S+)\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)}
COMMANDS = [
    line for text in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) for line in text.splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The reader's folder: the files of the page beside a copy of the project's configurations."""
    place = tmp_path_factory.mktemp("mine")
    for name, text in BLOCKS.items():
        (place / name).write_text(text, encoding="utf-8")
    (place / "configs").symlink_to(ROOT / "configs")
    return place


@pytest.fixture
def here(folder, monkeypatch):
    """Work in that folder; afterwards it is no longer on the path, and its modules are forgotten."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    for name in BLOCKS:
        sys.modules.pop(Path(name).stem, None)


@pytest.fixture
def task(here):
    entry = yaml.safe_load((here / "my_frame.yaml").read_text())["task"]
    module, _, name = entry.pop("class_path").rpartition(".")
    sys.path.insert(0, str(here))
    return getattr(importlib.import_module(module), name)(**entry)


def run(command, monkeypatch, *more):
    """Run a line of the page in this process, by the entry points that a shell would use; return the exit code."""
    program, *words = shlex.split(command)
    if program == "python":
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_path(words[0], run_name="__main__")
        return 0
    assert program == "idiff"
    monkeypatch.setattr(sys, "argv", ["idiff", *words, *more])
    with pytest.raises(SystemExit) as stopped:
        console()
    return stopped.value.code


def test_the_page_names_its_files():
    assert set(BLOCKS) == {"my_frame.py", "my_frame.yaml", "build_bars.py", "bars.yaml"}
    assert [shlex.split(line)[:2] for line in COMMANDS] == [
        ["python", "build_bars.py"], ["idiff", "data"], ["idiff", "fit"], ["idiff", "evaluate"],
    ]  # fmt: skip


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)


def test_a_broken_task_breaks_a_promise(task, monkeypatch):
    """The promises are no empty words: a decoder that is off by a few pixels is found out."""
    oracle = next(promise for promise in PROMISES if promise.__name__ == "oracle_round_trip")
    right = type(task)._box

    def shifted(self, query, score):
        prediction = right(self, query, score)
        prediction.corners += 6
        return prediction

    monkeypatch.setattr(type(task), "_box", shifted)
    with pytest.raises(AssertionError):
        oracle(task)


def test_the_commands_of_the_page(here, autoencoder_folder, monkeypatch):
    backbone = {
        "autoencoder": {"init_args": {"weights": autoencoder_folder}},
        "text": {"init_args": {"weights": None, "config": TEXT}},
        "unet": UNET,
        "unet_weights": None,
    }
    small = {
        "model": {"init_args": {"backbone": {"init_args": backbone}}},
        "data": {"init_args": {"batch_size": 2}},
        "trainer": {"max_steps": 2, "val_check_interval": 2, "accelerator": "cpu", "log_every_n_steps": 1},
    }
    Path("small.yaml").write_text(yaml.safe_dump(small))
    build, check, fit, evaluate = COMMANDS
    assert run(build, monkeypatch) == 0
    assert run(check, monkeypatch) == 0
    assert run(fit, monkeypatch, "--config", "small.yaml") == 0
    with Path("runs/bars/results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["task"], row["metric"], row["samples"]) for row in rows] == [("2", "bars", "iou", "8")]
    score = float(rows[0]["score"])
    assert 0 <= score <= 1
    events = EventAccumulator("runs/bars").Reload()
    assert [event.value for event in events.Scalars("val/bars/iou")] == [pytest.approx(score, abs=1e-4)]
    assert events.Scalars("val/score")[0].value == pytest.approx(score, abs=1e-4)
    assert "val/bars" in events.Tags()["images"]
    assert run(evaluate, monkeypatch, "--predictions", "out") == 0
    card = json.loads(Path("bars.json").read_text())
    assert card["task"] == "bars"
    assert card["metrics"]["iou"] == pytest.approx(score, abs=1e-4)
    assert len(Path("out/bars/queries.jsonl").read_text().splitlines()) == card["samples"] == 8


def test_nothing_of_the_project_knows_the_task():
    files = [*(ROOT / "idiff").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")]
    assert [file for file in files if re.search("my_frame|BoundingFrame", file.read_text(encoding="utf-8"))] == []
