"""`idiff test` scores the test sets, and nothing else."""

import pytest
import yaml

from idiff.cli import main
from idiff.data.build import build
from idiff.synthetic.source import SyntheticSource


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        build(SyntheticSource("segmentation", split=split, count=count), f"d/{split}", name="synthetic", split=split)
    config = {
        "model": {"class_path": "TaskTraining", "init_from": "tiny", "backbone": {
            "pretrained": "tiny-base", "unet": {"up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]},
            "objective": {"prediction": "sample", "residual": True, "zero_terminal_snr": True, "spacing": "trailing"}}},
        "data": {"class_path": "SegmentationDataModule", "root": "d", "name": "toys", "batch_size": 2, "sampling": {"steps": 1}},
        "trainer": {"max_steps": 1, "limit_val_batches": 0, "default_root_dir": "run", "accelerator": "cpu"},
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "run.yaml"]) == 0
    return tmp_path


def test_the_test_set_is_scored(here, capsys):
    words = ["--config", "run.yaml", "--ckpt_path", "last", "--trainer.limit_val_batches", "1.0"]
    assert main(["test", *words]) == 0
    said = capsys.readouterr().out
    assert "test/toys/" in said and "val/toys" not in said
    assert main(["validate", *words]) == 0
    said = capsys.readouterr().out
    assert "val/toys/" in said and "test/toys" not in said


def test_without_a_test_set_one_sentence_says_so(here, capsys):
    (here / "d" / "test").rename(here / "d" / "gone")
    assert main(["test", "--config", "run.yaml", "--ckpt_path", "last"]) == 2
    assert "has a test set. Set its `test`." in capsys.readouterr().err


def test_a_test_set_that_is_trained_on_is_refused(here, capsys):
    words = ["--config", "run.yaml", "--data.test", "d/train", "--trainer.default_root_dir", "other"]
    assert main(["fit", *words]) == 2
    assert "is the training set" in capsys.readouterr().err
    assert main(["test", "--config", "run.yaml", "--ckpt_path", "last", "--data.test", "d/train"]) == 2
    assert "is the training set" in capsys.readouterr().err


def test_without_the_training_set_a_warning_says_what_is_not_checked(here, caplog):
    (here / "d" / "train").rename(here / "d" / "gone")
    words = ["--config", "run.yaml", "--ckpt_path", "last"]
    assert main(["test", *words]) == 0
    assert "is not checked" in caplog.text
