"""`idiff fit | validate | predict` as a user runs them, on a small experiment over synthetic shards."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import pytest
import torch
import yaml
from fit_runs import CutAt, CutError, CutInValidation, TermAt, assert_same_state, events, fit_with, lines, state
from lightning.pytorch.callbacks import Callback
from pycocotools.coco import COCO

from idiff.cli import main

TASKS = ("segmentation", "keypoints")


@pytest.fixture
def trained(config, uncut):
    """The configuration, beside a copy of the finished run."""
    shutil.copytree(uncut, "run")
    return config


def results(run):
    with (Path(run) / "results.csv").open() as stream:
        return list(csv.DictReader(stream))


def steps_of(run):
    return sorted({int(row["step"]) for row in results(run)})


@pytest.mark.parametrize(
    ("callback", "saved"),
    [
        (CutAt(1), None),
        (CutAt(3), "best.ckpt, step 3"),  # written by the validation at step 3, later than last.ckpt
        (CutAt(5, batches=2), "last.ckpt, step 4"),  # inside of an accumulation; epochs end at step 5
        (CutInValidation(), "last.ckpt, step 2"),
    ],
    ids=["before-any-save", "after-validation", "in-accumulation", "in-validation"],
)
def test_a_run_that_crashed_goes_on_bit_by_bit(config, uncut, monkeypatch, capsys, callback, saved):
    with pytest.raises(CutError):
        fit_with(monkeypatch, ["fit", "--config", config], callback)
    capsys.readouterr()
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    said = capsys.readouterr().err
    assert ("holds no checkpoint: starting fresh" in said) == (saved is None)
    assert saved is None or f"resuming from run/checkpoints/{saved} of 6" in said
    assert_same_state(state("run"), state(uncut))
    assert results("run") == results(uncut)
    scalars, _ = events("run")
    whole, _ = events(uncut)
    for tag in ("train/loss", "train/lr", "val/score"):
        assert sorted(set(scalars[tag])) == whole[tag]


@pytest.mark.parametrize(
    ("step", "batches"), [(3, 2), (2, 1)], ids=["in-accumulation", "before-a-step-with-validation"]
)
def test_sigterm_finishes_the_step_saves_and_exits_143(config, uncut, monkeypatch, step, batches):
    assert fit_with(monkeypatch, ["fit", "--config", config], TermAt(step, batches=batches)) == 143
    assert state("run")["global_step"] == step + 1
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert_same_state(state("run"), state(uncut))
    assert steps_of("run") == [0, 3, 6]


def test_a_run_that_was_cut_in_its_last_validation_makes_up_for_it(config, uncut, monkeypatch, capsys):
    with pytest.raises(CutError):
        fit_with(monkeypatch, ["fit", "--config", config], CutInValidation(6))
    assert state("run")["global_step"] == 6 and steps_of("run") == [0, 3]
    assert main(["fit", "--config", config, "--ckpt_path", "last"]) == 0
    assert results("run") == results(uncut)
    assert_same_state(state("run"), state(uncut))
    best = torch.load(uncut / "checkpoints" / "best.ckpt", weights_only=True)["global_step"]
    assert torch.load("run/checkpoints/best.ckpt", weights_only=True)["global_step"] == best
    assert json.loads(Path("run/run.json").read_text())["progress"]["state"] == "finished"


def test_a_run_of_two_steps_leaves_all_that_others_do(config):
    """No validation is due in it by the schedule."""
    short = [
        "--trainer.max_steps",
        "2",
        "--trainer.val_check_interval",
        "100",
        "--trainer.check_val_every_n_epoch",
        "null",
    ]
    assert main(["fit", "--config", config, *short]) == 0
    assert steps_of("run") == [0, 2]
    assert torch.load("run/checkpoints/best.ckpt", weights_only=True)["global_step"] == 2
    assert "step 2 of 2" in Path("run/report.html").read_text()
    assert {path.name for path in Path("run/worst").iterdir()} == {
        f"{t}.{kind}" for t in TASKS for kind in ("png", "json")
    }
    record = json.loads(Path("run/run.json").read_text())
    assert record["commands"][0]["command"].startswith(f"idiff fit --config {config}")
    assert {(each["task"], each["split"]) for each in record["data"]} == {
        (t, s) for t in TASKS for s in ("train", "val")
    }
    assert all(each["funnel"] for each in record["data"])


def test_the_board_shows_bounds_settings_and_sentences(uncut):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars, _ = events(uncut)
    rows = {(row["task"], row["metric"]): row for row in results(uncut)}
    assert "epoch" not in scalars and "hp_metric" not in scalars
    assert {tag.split("/")[0] for tag in scalars} == {"train", "val", "val_bounds", "system"}
    for (task, metric), row in rows.items():
        for name, column in {"ceiling": "ceiling", "identity": "identity", "baseline": "guess"}.items():
            drawn = scalars.get(f"val_bounds/{task}/{metric}/{name}", [])
            assert [step for step, _ in drawn] == ([0, 3, 6] if row[column] else [])
            assert all(value == pytest.approx(float(row[column]), abs=1e-4) for _, value in drawn)
    assert [step for step, _ in scalars["val/segmentation/loss"]] == [
        0,
        2,
        5,
    ]  # Lightning draws it at the last training step
    assert any(tag.startswith("train/loss_t/") for tag in scalars)
    read = EventAccumulator(str(uncut), size_guidance={"tensors": 0})
    read.Reload()
    texts = {
        tag.split("/text_summary")[0]: read.Tensors(tag)[-1].tensor_proto.string_val[0].decode()
        for tag in read.Tags()["tensors"] if tag.endswith("/text_summary")
    }  # fmt: skip
    assert "lr: 0.001" in texts["config"] and texts["command"].strip().startswith("idiff fit --config")
    listed = json.loads((uncut / "samples" / "keypoints_0000006.json").read_text())["rows"]
    assert "".join(listed[0]["sentence"].split()[:3]) in texts["sentences/keypoints"].replace(" ", "")
    assert "custom_scalars__config__" in read.Tags()["tensors"]


def test_a_run_leaves_what_people_look_for(uncut):
    scalars, pictures = events(uncut)
    assert {"train/loss", "train/lr", "system/samples_per_second", "val/score"} <= scalars.keys()
    assert {
        "val/segmentation/miou",
        "val/segmentation/mciou",
        "val/keypoints/ap",
        "val/keypoints/pck",
    } <= scalars.keys()
    assert pictures == {f"val/{task}" for task in TASKS}
    assert [step for step, _ in scalars["train/loss"]] == list(range(6))
    rates = [value for _, value in scalars["train/lr"]]
    assert rates == pytest.approx([0.0005, *[0.001] * 5])
    assert all(value > 0 for _, value in scalars["system/samples_per_second"])
    assert steps_of(uncut) == [0, 3, 6]
    assert sorted(path.name for path in (uncut / "samples").iterdir()) == sorted(
        f"{task}_{step:07d}.{kind}" for task in TASKS for step in (0, 3, 6) for kind in ("png", "json")
    )
    assert yaml.safe_load((uncut / "config.yaml").read_text())["model"]["init_args"]["lr"] == 1e-3


def test_best_is_the_averaged_model_with_the_highest_score(uncut):
    scalars, _ = events(uncut)
    scores = [value for _, value in scalars["val/score"]]
    best = torch.load(uncut / "checkpoints" / "best.ckpt", weights_only=True)
    assert (
        best["global_step"] == (3, 6)[scores[1:].index(max(scores[1:]))]
    )  # what training began with is not of this run
    means = [(row["step"], row["task"], row["metric"], float(row["score"] or 0)) for row in results(uncut)]
    for step, score in zip((0, 3, 6), scores, strict=True):
        headline = [
            m for s, t, k, m in means if s == str(step) and (t, k) in {("segmentation", "miou"), ("keypoints", "ap")}
        ]
        assert score == pytest.approx(sum(headline) / 2, abs=1e-3)
    assert any(not torch.equal(best["raw"][name], best["state_dict"][name]) for name in best["raw"])


class Keep(Callback):
    """The score of the last validation."""

    score = None

    def on_validation_end(self, trainer, pl_module):
        self.score = float(trainer.callback_metrics["val/score"])


def test_validate_scores_the_average_and_leaves_the_run_alone(trained, monkeypatch, capsys):
    before = {str(path): path.is_file() and path.read_bytes() for path in Path("run").rglob("*")}
    logged = [value for _, value in events("run")[0]["val/score"]]
    keep = Keep()
    assert fit_with(monkeypatch, ["validate", "--config", trained, "--ckpt_path", "last"], keep) == 0
    assert "weights of run/checkpoints/last.ckpt" in capsys.readouterr().err
    assert keep.score == pytest.approx(logged[-1])
    assert {str(path): path.is_file() and path.read_bytes() for path in Path("run").rglob("*")} == before


def test_predict_writes_what_others_can_score(trained, shards):
    assert main(["predict", "--config", trained, "--ckpt_path", "last"]) == 0
    folder = Path("run/predictions")
    for task in TASKS:
        asked = lines(folder / task / "queries.jsonl")
        assert len(asked) == len({json.dumps(line["query"]) + line["key"] + line["prompt"] for line in asked})
        assert all(line["prompt"] and line["query"]["group"] for line in asked)
        painted = sorted((folder / task / "painted").glob("*.png"))
        assert len(painted) == len(asked)
        assert cv2.imread(str(painted[0])).shape == (64, 64, 3)
    masks = sorted((folder / "segmentation" / "masks").glob("*.png"))
    assert len(masks) == 2
    classes = json.loads((shards / "segmentation/val/manifest.json").read_text())["meta"]["classes"]
    for file in masks:
        labels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        assert labels.shape == (64, 64)
        assert labels.max() < len(classes)
    answers = json.loads((folder / "keypoints" / "keypoints.json").read_text())
    assert len(answers) == 2
    truth = COCO()
    joints = len(answers[0]["keypoints"]) // 3
    truth.dataset = {
        "images": [{"id": answer["image_id"]} for answer in answers],
        "categories": [{"id": answers[0]["category_id"], "name": "figure", "keypoints": ["joint"] * joints}],
        "annotations": [],
    }
    truth.createIndex()
    loaded = truth.loadRes(answers)
    assert all(
        entry["area"] >= 0 and len(entry["keypoints"]) == 3 * joints for entry in loaded.loadAnns(loaded.getAnnIds())
    )


def test_a_checkpoint_never_changes_what_the_configuration_says(trained, capsys):
    words = ["fit", "--config", trained, "--ckpt_path", "run/checkpoints/last.ckpt", "--model.init_args.lr", "0.01"]
    assert main([*words, "--trainer.max_steps", "8"]) == 2
    said = capsys.readouterr().err
    assert "model.lr: 0.001 -> 0.01" in said
    assert "--resume.allow model.lr" in said
    assert state("run")["global_step"] == 6
    assert main([*words, "--trainer.max_steps", "8", "--resume.allow", "model.lr"]) == 0
    after = state("run")
    assert after["global_step"] == 8
    assert after["optimizer_states"][0]["param_groups"][0]["lr"] == 0.01
    assert after["optimizer_states"][0]["state"][0]["step"] == 8
    assert after["config"]["model"]["init_args"]["lr"] == 0.01


def test_more_steps_are_always_allowed_and_none_left_is_no_error(trained, capsys):
    words = ["fit", "--config", trained, "--ckpt_path", "last"]
    assert main(words) == 0
    assert "step 6 of 6" in capsys.readouterr().err
    assert main([*words, "--trainer.max_steps", "7", "--data.init_args.val_samples", "1"]) == 0
    assert state("run")["global_step"] == 7


def test_a_short_run_shows_no_warning_that_nothing_can_be_done_about(config, recwarn):
    words = ["--trainer.max_steps", "2", "--trainer.log_every_n_steps", "50", "--trainer.precision", "bf16-mixed"]
    assert main(["fit", "--config", config, *words]) == 0
    assert not [said for said in recwarn if "lightning" in str(said.filename)]


@pytest.mark.parametrize("command", ["validate", "predict"])
def test_weights_must_be_named_and_be_there(config, capsys, command):
    assert main([command, "--config", config]) == 2
    assert "--ckpt_path last, best or FILE" in capsys.readouterr().err
    assert main([command, "--config", config, "--ckpt_path", "last"]) == 2
    assert "holds no checkpoint: train first" in capsys.readouterr().err


def test_weights_of_another_model_are_refused(trained, capsys):
    words = ["validate", "--config", trained, "--ckpt_path", "last"]
    assert main([*words, "--model.init_args.backbone.init_args.unet.block_out_channels", "[16, 32]"]) == 2
    assert "of another model" in capsys.readouterr().err


@pytest.mark.slow
def test_two_ranks_train_and_score_as_one_does(config):
    """The same rows and noise in micro-batches of two on two ranks, and of four on one."""
    words = ["fit", "--config", config, "--trainer.max_steps", "4", "--trainer.accumulate_grad_batches", "1"]
    words += ["--trainer.val_check_interval", "4", "--data.init_args.val_samples", "3"]
    one = ["--data.init_args.batch_size", "4", "--trainer.default_root_dir", "one"]
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp_fork", "--trainer.default_root_dir", "two"]
    assert main([*words, *one]) == 0
    assert main([*words, *two]) == 0
    before, after = state("one"), state("two")
    assert before["global_step"] == after["global_step"] == 4
    for part in ("state_dict", "raw"):
        for name, value in before[part].items():
            assert torch.allclose(value, after[part][name], atol=1e-5), name
    assert [{**row, "score": ""} for row in results("one")] == [{**row, "score": ""} for row in results("two")]
    for a, b in zip(results("one"), results("two"), strict=True):
        assert float(a["score"] or 0) == pytest.approx(float(b["score"] or 0), abs=1e-3), a


def test_a_run_that_is_there_is_not_overwritten(trained, capsys):
    before = Path("run/checkpoints/last.ckpt").read_bytes()
    assert main(["fit", "--config", trained]) == 2
    said = capsys.readouterr().err
    assert "holds a run already" in said and "--ckpt_path last" in said and "--fresh" in said
    assert Path("run/checkpoints/last.ckpt").read_bytes() == before
    assert main(["fit", "--config", trained, "--fresh", "--trainer.max_steps", "1"]) == 0
    assert "run is now run.1" in capsys.readouterr().err
    assert Path("run.1/checkpoints/last.ckpt").read_bytes() == before
    assert Path("run/checkpoints/last.ckpt").is_file()
