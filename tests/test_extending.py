"""docs/extending.md, executed: a sampler, a decoder, a metric and a stage of one's own, with no edit in the package."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from small_models import ROOT

from idiff.callbacks.records import FIELDS
from idiff.cli import main
from idiff.data.build import build
from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError
from idiff.models.io.checkpoint import read
from idiff.sampling import Sampling
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import SemanticSegmentation

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
CODE = re.search(r"^```python\n(# own\.py\n.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("own.py").write_text(CODE)
    build(SyntheticSource("segmentation", split="val", count=3), "val", name="synthetic", split="val")
    yield tmp_path
    sys.modules.pop("own", None)


def evaluate(*words):
    code = main(
        ["evaluate", "--checkpoint", "tiny", "--data", "val", "--bootstrap", "20", "--out", "card.json", *words]
    )
    return code, json.loads(Path("card.json").read_text()) if code == 0 else None


def test_a_sampler_a_decoder_and_a_metric(here, capsys):
    Path("task.yaml").write_text(
        "task: {class_path: SemanticSegmentation, decoder: own.Brightest, decoder_args: {}}\n"
        "sampling: {sampler: own.two_jumps, steps: 2}\n"
    )
    code, card = evaluate("--task", "task.yaml", "--metric", "painted_share=own.PaintedShare")
    assert code == 0, capsys.readouterr().err
    assert 0 < card["metrics"]["painted_share"] < 1
    assert card["guidance"]["sampler"] == "own.two_jumps"
    assert card["evaluations_per_query"] == 2
    assert card["decoder"] == "own.Brightest"
    code, plain = evaluate("--task", "segmentation")
    assert code == 0 and "painted_share" not in plain["metrics"]


def test_a_metric_beside_a_task_is_scored_in_validation_and_later(here, capsys):
    own = {"class_path": "MixtureDataModule", "batch_size": 2, "val_samples": 3, "tasks": {
        "toys": {"task": {"class_path": "SemanticSegmentation"}, "train": "train", "val": "val", "sampling": {"steps": 1},
                 "metrics": {"painted_share": "own.PaintedShare",
                             "beyond": {"class_path": "own.PaintedShare", "beyond": 1}}}}}  # fmt: skip
    build(SyntheticSource("segmentation", split="train", count=4), "train", name="synthetic", split="train")
    config = {"model": {"class_path": "TaskTraining", "init_from": "tiny", "backbone": {
        "pretrained": "tiny-base", "unet": {"up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]},
        "objective": {"prediction": "sample", "residual": True, "zero_terminal_snr": True, "spacing": "trailing"}}},
        "data": own, "trainer": {"max_steps": 1, "val_check_interval": 1, "check_val_every_n_epoch": None,
                                 "default_root_dir": "run", "accelerator": "cpu"}}  # fmt: skip
    Path("run.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "run.yaml"]) == 0, capsys.readouterr().err
    assert "toys,painted_share" in Path("run/results.csv").read_text()
    words = ["evaluate", "--checkpoint", "run/checkpoints/last.ckpt", "--data", "val", "--out", "card.json"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "names own.PaintedShare, which does not come with this package" in said
    assert said.endswith(f"\n  idiff {' '.join(words)} --trust\n")
    assert main([*words, "--trust"]) == 0
    found = json.loads(Path("card.json").read_text())["metrics"]
    assert found["beyond"] < found["painted_share"] <= 1
    Path("own.py").rename("gone.py")
    sys.modules.pop("own")
    assert main([*words, "--trust"]) == 2
    assert "metric 'own.PaintedShare': there is no module own in the working folder" in capsys.readouterr().err


def test_a_stage_of_ones_own_trains_stops_and_goes_on(here, capsys):
    config = {
        "model": {"class_path": "own.Offset", "lr": 0.1},
        "data": {"class_path": "SegmentationDataModule", "train": "val", "batch_size": 2},
        "trainer": {"max_steps": 4, "default_root_dir": "run", "accelerator": "cpu"},
    }
    Path("run.yaml").write_text(yaml.safe_dump(config))
    assert main(["fit", "--config", "run.yaml", "--trainer.default_root_dir", "whole"]) == 0, capsys.readouterr().err
    for steps in ("2", "4"):
        words = ["fit", "--config", "run.yaml", "--ckpt_path", "last", "--trainer.max_steps", steps]
        assert main(words) == 0, capsys.readouterr().err
    whole, cut = (read(f"{run}/checkpoints/last.ckpt")["state_dict"]["offset"] for run in ("whole", "run"))
    assert torch.equal(whole, cut) and whole.abs().max() > 0


def offset_run(kind):
    build(SyntheticSource("segmentation", split="train", count=4), "train", name="synthetic", split="train")
    config = {
        "model": {"class_path": f"own.{kind}", "lr": 0.1},
        "data": {"class_path": "SegmentationDataModule", "train": "train", "val": "val", "test": "val", "name": "toys",
                 "batch_size": 2},
        "trainer": {"max_steps": 2, "val_check_interval": 1, "check_val_every_n_epoch": None, "default_root_dir": "run",
                    "accelerator": "cpu"},
    }  # fmt: skip
    Path("run.yaml").write_text(yaml.safe_dump(config))
    return ["--config", "run.yaml"]


def test_a_stage_that_paints_nothing_logs_what_it_measures(here, capsys):
    words = offset_run("Offset")
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    assert not Path("run/results.csv").exists() and not Path("run/checkpoints/best.ckpt").exists()
    for command, split in (("validate", "val"), ("test", "test")):
        assert main([command, *words, "--ckpt_path", "last"]) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert f"{split}/toys/loss" in said and "score" not in said
    Path("own.py").rename("gone.py")
    sys.modules.pop("own")
    assert main(["validate", *words, "--ckpt_path", "last"]) == 2
    assert "model: there is no module own in the working folder" in capsys.readouterr().err


def test_a_stage_that_paints_is_scored_without_an_autoencoder(here, capsys):
    words = offset_run("OffsetPainting")
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    assert Path("run/checkpoints/best.ckpt").exists()
    _, *lines = Path("run/results.csv").read_text().splitlines()
    first = dict(zip(FIELDS, lines[0].split(","), strict=True))
    assert first["task"] == "toys" and first["score"] and first["identity"] and not first["ceiling"]
    assert main(["test", *words, "--ckpt_path", "best"]) == 0, capsys.readouterr().err
    assert "test/score" in capsys.readouterr().out
    assert Path("run/results.csv").read_text().splitlines()[1:] == lines


def test_a_stage_without_validation_says_so(here, capsys):
    words = offset_run("Offset")
    Path("own.py").write_text(CODE.partition("\n    def validation_step")[0])
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    assert main(["test", *words, "--ckpt_path", "last"]) == 2
    assert "model: Offset has no `validation_step`, which idiff test runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SemanticSegmentation(decoder="own.Brightes"), "decoder 'own.Brightes': own has no class or function"),
        (lambda: SemanticSegmentation(decoder="own.PaintedShare"), "lacks `scores` or `describe`"),
        (lambda: SemanticSegmentation(decoder="gone.Decoder"), "there is no module gone"),
        (lambda: TaskEntry(SemanticSegmentation(), metrics={"miou": "own.PaintedShare"}), "metric 'miou' is one of"),
        (
            lambda: TaskEntry(SemanticSegmentation(), metrics={"mine": "own.Offset"}),
            "is not a subclass of torchmetrics.Metric",
        ),
        (
            lambda: TaskEntry(
                SemanticSegmentation(), metrics={"mine": {"class_path": "own.PaintedShare", "init_args": {"by": 1}}}
            ),
            "metric 'own.PaintedShare' refuses the arguments {'by': 1}",
        ),
        (lambda: Sampling(sampler="two_jumps"), "unknown sampler 'two_jumps'"),
    ],
)
def test_what_is_missing_is_one_sentence(here, make, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        make()
