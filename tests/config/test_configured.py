"""The marks of settings in whole configurations: what may change on resume, what a training starts from, known words."""

import pytest
import yaml
from small_models import ROOT

from idiff.chains.experiment import Entry
from idiff.config.compose import compose
from idiff.config.resume import config_changes
from idiff.config.sections import known_words, settings_in

CONFIGS = ROOT / "configs"
TASK = {"class_path": "idiff.tasks.ObjectDetection", "init_args": {"min_pixels": 8, "min_score": 0.0, "gap": 2}}
CONFIG = {
    "model": {"class_path": "idiff.stages.Adaptation", "init_args": {
        "lr": 1e-4, "max_skipped": 5, "max_rows": 64, "init_from": "a", "sampling": {"steps": 1}, "lora": {"rank": 8},
        "backbone": {"class_path": "idiff.models.backbone.LatentDiffusion", "init_args": {
            "unet": {"sampling": 1}, "unet_weights": "u", "gradient_checkpointing": False,
            "objective": {"min_snr_gamma": None},
            "text": {"class_path": "idiff.models.text.TextEncoder", "init_args": {"weights": "t", "tokenizer": None}}}}}},
    "data": {"class_path": "idiff.data.datamodule.MixtureDataModule", "init_args": {
        "batch_size": 4, "seed": 0, "val_groups": 8,
        "tasks": {"train": {"task": TASK, "train": "d", "weight": 1.0, "sampling": {"steps": 4}}}}},
}  # fmt: skip


def set_at(config, path, value):
    *way, leaf = path.split(".")
    new = place = yaml.safe_load(yaml.safe_dump(config))
    for part in way:
        place = place[part]
    place[leaf] = value
    return new


@pytest.mark.parametrize(
    ("path", "free"),
    [
        ("model.init_args.lr", False),
        ("model.init_args.max_skipped", True),
        ("model.init_args.max_rows", True),
        ("model.init_args.init_from", True),
        ("model.init_args.sampling.steps", True),
        ("model.init_args.lora.rank", False),
        ("model.init_args.backbone.init_args.unet.sampling", False),
        ("model.init_args.backbone.init_args.unet_weights", True),
        ("model.init_args.backbone.init_args.gradient_checkpointing", True),
        ("model.init_args.backbone.init_args.objective.min_snr_gamma", False),
        ("model.init_args.backbone.init_args.text.init_args.weights", True),
        ("model.init_args.backbone.init_args.text.init_args.tokenizer", False),
        ("data.init_args.batch_size", True),
        ("data.init_args.seed", False),
        ("data.init_args.val_groups", True),
        ("data.init_args.tasks.train.weight", False),
        ("data.init_args.tasks.train.train", True),
        ("data.init_args.tasks.train.sampling.steps", True),
        ("data.init_args.tasks.train.task.init_args.gap", False),
        ("data.init_args.tasks.train.task.init_args.min_pixels", True),
        ("data.init_args.tasks.train.task.init_args.min_score", True),
    ],
)
def test_marked_settings_may_change_on_resume(path, free):
    changed = config_changes(CONFIG, set_at(CONFIG, path, 77))
    assert list(changed) == ([] if free else [path.replace(".init_args", "")])


def test_weights_that_a_training_starts_from():
    assert Entry("a", "b", config=CONFIG).bases() == {
        "model.init_args.init_from": "a",
        "model.init_args.backbone.init_args.unet_weights": "u",
        "model.init_args.backbone.init_args.text.init_args.weights": "t",
    }
    stage = {"class_path": "idiff.stages.AutoencoderTraining", "init_args": {
        "autoencoder": {"class_path": "idiff.models.autoencoder.Autoencoder", "init_args": {"weights": "v"}}}}  # fmt: skip
    assert Entry("a", "b", config={"model": stage}).bases() == {"model.init_args.autoencoder.init_args.weights": "v"}
    assert Entry("a", "b", config={"trainer": {}}).bases() == {}


@pytest.mark.parametrize("file", sorted((CONFIGS / "stage").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_setting_of_a_stage_is_a_known_word(file):
    config, known = compose([str(file)]), known_words()
    names = {each.path.rpartition(".")[2] for part in config for each in settings_in(config, part)}
    plain = set(config["model"]["init_args"].get("text", {}).get("init_args", {}).get("config", {}))
    assert names - plain <= known and names & known


def test_words_come_from_all_classes_that_a_configuration_can_name():
    assert {
        "class_path", "init_args", "resume", "allow", "ckpt_path", "predictions", "best", "max_steps", "decay", "rank",
        "calibrate_bias", "whole", "joints_per_prompt", "epoch_steps", "beta", "monitor", "shade", "tokenizer", "steps", "rule",
    } <= known_words()  # fmt: skip
