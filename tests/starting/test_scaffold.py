"""`idiff new` writes files that work as they are, and nothing over what is there."""

import importlib
import subprocess
import sys

import pytest
import yaml
from contract import PROMISES
from small_models import ROOT

from idiff.cli import main
from idiff.config.compose import compose


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("mine")
    assert main(["init", str(place)]) == 0
    assert main(["new", "task", "blood_vessels", "--in", str(place)]) == 0
    assert main(["new", "data", "xrays", "--in", str(place)]) == 0
    return place


@pytest.fixture
def task(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    entry = yaml.safe_load((folder / "blood_vessels.yaml").read_text())["task"]
    module, _, name = entry.pop("class_path").rpartition(".")
    yield getattr(importlib.import_module(module), name)(**entry)
    sys.modules.pop(module)


def test_the_tests_that_come_with_them_pass(folder):
    words = ["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "test_blood_vessels.py", "test_xrays.py"]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)


def test_the_files_are_short_and_name_their_schema(folder):
    lengths = {path.name: len(path.read_text().splitlines()) for path in folder.glob("*.py")}
    assert set(lengths) == {"blood_vessels.py", "test_blood_vessels.py", "xrays.py", "test_xrays.py"}
    assert max(lengths.values()) <= 140
    assert "$schema=configs/schema/task.json" in (folder / "blood_vessels.yaml").read_text()


def test_the_style_is_that_of_the_project(folder):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "132", "--select", "E,F,W,I,B,UP", "."],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_training_of_the_data_set_composes(folder):
    entry = compose([str(folder / "xrays.yaml")])["data"]["init_args"]["tasks"]["xrays"]
    assert (entry["train"], entry["val"]) == ("data/xrays/train", "data/xrays/val")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task", "depth-map"], "such as depth_map"),
        (["task", "class"], "cannot be a Python module's"),
        (["task", "../x"], "cannot be a Python module's"),
        (["data", "numpy"], "is installed already"),
        (["data", "json"], "is installed already"),
        (["task", "segmentation"], "comes with idiff"),
        (["tsk", "a"], "did you mean 'task'"),
    ],
)
def test_a_name_that_cannot_be_used_is_said(words, said, tmp_path, capsys):
    assert main(["new", *words, "--in", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("my sentences")
    assert main(["new", "task", "mine", "--in", str(tmp_path)]) == 2
    assert "mine.txt: there already. Nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_of_the_project_is_written(folder):
    assert not list(ROOT.glob("blood_vessels*")) and not list((ROOT / "idiff").rglob("xrays*"))
