"""A further task needs one new file and one YAML, and no edit of what is there: docs/new-task.md, executed."""

import csv
import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from contract import PROMISES
from small_models import ROOT, TEXT, UNET
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from idiff.cli import console
from idiff.data.shards.reader import ShardSet
from idiff.tasks.example_pair import with_example
from idiff.utils.seeds import numpy_rng

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
    entry = yaml.safe_load((here / "my_depth.yaml").read_text())["task"]
    module, _, name = entry.pop("class_path").rpartition(".")
    sys.path.insert(0, str(here))
    return getattr(importlib.import_module(module), name)(**entry)


def run(command, monkeypatch, *more):
    """Run a line of the page in this process, by the entry point that a shell would use; return the exit code."""
    program, *words = shlex.split(command)
    assert program == "idiff"
    monkeypatch.setattr(sys, "argv", ["idiff", *words, *more])
    with pytest.raises(SystemExit) as stopped:
        console()
    return stopped.value.code


def test_the_page_names_its_files():
    assert set(BLOCKS) == {"my_depth.py", "my_depth.yaml", "my_rooms.py", "rooms.yaml"}
    assert [" ".join(shlex.split(line)[1:3]) for line in COMMANDS] == [
        "data build", "data build", "data check", "data browse", "fit --config", "evaluate --checkpoint",
    ]  # fmt: skip


def test_the_files_are_short():
    most = {"my_depth.py": 110, "my_depth.yaml": 10, "my_rooms.py": 30, "rooms.yaml": 20}
    lines = {name: len(text.splitlines()) for name, text in BLOCKS.items()}
    assert all(lines[name] <= most[name] for name in most), lines


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_it_shows_an_example_beside_the_question(task, promise):
    beside = with_example(type(task)(size=128), "pair")
    promise(beside)
    triplet = beside.queries(beside.example(numpy_rng(0, "own")), 0)[0]
    assert triplet.query["example"] and triplet.instruction.endswith("Do it as in the example.")


def test_a_broken_task_breaks_a_promise(task, monkeypatch):
    """The promises are no empty words: a decoder that reads distances half as far is found out."""
    oracle = next(promise for promise in PROMISES if promise.__name__ == "oracle_round_trip")
    right = type(task).meters
    monkeypatch.setattr(type(task), "meters", lambda self, gray: right(self, gray) / 2)
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
    *data, fit, evaluate = COMMANDS
    for command in data:
        assert run(command, monkeypatch) == 0
    assert ShardSet.open("data/rooms/val").read(0).maps["depth"].dtype == np.uint16
    assert run(fit, monkeypatch, "--config", "small.yaml") == 0
    with Path("runs/rooms/results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["task"], row["metric"], row["samples"]) for row in rows] == [
        ("0", "rooms", "abs_rel", "8"), ("2", "rooms", "abs_rel", "8")
    ]  # fmt: skip
    score = float(rows[1]["score"])
    assert score > 0
    events = EventAccumulator("runs/rooms").Reload()
    assert events.Scalars("val/rooms/abs_rel")[-1].value == pytest.approx(score, abs=1e-4)
    share = 1 - min(score, 1)  # lower is better
    assert events.Scalars("val/score")[-1].value == pytest.approx(share, abs=1e-4)
    assert "val/rooms" in events.Tags()["images"]
    assert run(evaluate, monkeypatch, "--predictions", "out") == 0
    card = json.loads(Path("rooms.json").read_text())
    assert card["task"] == "rooms"
    assert card["metrics"]["abs_rel"] == pytest.approx(score, abs=1e-4)
    assert len(Path("out/rooms/queries.jsonl").read_text().splitlines()) == card["samples"] == 8


def test_nothing_of_the_project_knows_the_task():
    files = [*(ROOT / "idiff").rglob("*.py"), *(ROOT / "configs").rglob("*.yaml")]
    assert [file for file in files if re.search("my_depth", file.read_text(encoding="utf-8"))] == []
