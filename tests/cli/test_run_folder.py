"""What a run folder holds is the same whatever the logger, and TensorBoard draws every step once."""

import shutil
from pathlib import Path

import pytest
import yaml
from fit_runs import CutAt, CutError, events, fit_with

from idiff.cli import main

CSV = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": "logs"}}
BOARD = {"class_path": "lightning.pytorch.loggers.TensorBoardLogger", "init_args": {"save_dir": "board"}}
STOPPING = {
    "class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/score", "patience": 9},
}  # fmt: skip


@pytest.mark.parametrize("logger", [False, CSV, [CSV, BOARD]], ids=["none", "csv", "list"])
def test_a_run_folder_holds_the_same_whatever_the_logger(config, uncut, logger):
    Path("logger.yaml").write_text(yaml.safe_dump({"trainer": {"logger": logger, "callbacks": STOPPING}}))
    assert main(["fit", "--config", config, "--config", "logger.yaml"]) == 0
    for part in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "config.yaml"):
        assert (Path("run") / part).is_file(), part
    assert Path("run/results.csv").read_text() == (uncut / "results.csv").read_text()
    names = [sorted(path.name for path in (run / "samples").iterdir()) for run in (Path("run"), uncut)]
    assert names[0] == names[1]
    kept = sorted(str(path) for folder in ("logs", "board") for path in Path(folder).rglob("*") if path.is_file())
    assert not any(path.endswith((".ckpt", "config.yaml")) for path in kept)
    assert any(path.endswith("metrics.csv") for path in kept) == bool(logger)
    if isinstance(logger, list):
        (folder,) = Path("board").rglob("version_0")
        assert [step for step, _ in events(folder)[0]["val/score"]] == [0, 3, 6]


def drawn(run):
    return {tag: [step for step, _ in values] for tag, values in events(run)[0].items() if not tag.startswith("system")}


def test_a_rerun_of_a_finished_run_says_so_and_removes_nothing_that_was_drawn(config, uncut, capsys):
    shutil.copytree(uncut, "run")
    before = drawn("run")
    assert before["train/loss"] == list(range(6)) and before["val/score"] == [0, 3, 6]
    capsys.readouterr()
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert "is at step 6 of 6: nothing is left to train. Raise trainer.max_steps to train on" in capsys.readouterr().err
    assert drawn("run") == before


@pytest.mark.parametrize("every", ["2", "500"], ids=["saved-before-the-validation", "saved-at-the-end"])
def test_more_steps_are_drawn_after_those_that_were(config, every):
    words = ["fit", "--config", config, "--last.every_n_steps", every]
    assert main(words) == 0
    assert main([*words, "--ckpt_path", "last", "--trainer.max_steps", "9"]) == 0
    after = drawn("run")
    assert after["train/loss"] == list(range(9))
    assert after["val/score"] == [0, 3, 6, 9]


def test_steps_before_the_first_checkpoint_are_drawn_once(config, uncut, monkeypatch):
    with pytest.raises(CutError):
        fit_with(monkeypatch, ["fit", "--config", config, "--last.every_n_steps", "500"], CutAt(2))
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert drawn("run") == drawn(uncut)
