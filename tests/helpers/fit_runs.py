"""A small experiment on synthetic shards, run through `idiff.cli.main` as a user would."""

import json
import os
import signal
from pathlib import Path

import torch
import yaml
from lightning.pytorch.callbacks import Callback
from small_models import ROOT

from idiff.callbacks.checkpoint_io import newest
from idiff.cli import main

CONFIGS = ROOT / "configs"


class CutError(Exception):
    """What a test stops a run with. Nothing in the project catches it."""


class CutAt(Callback):
    """Stops training at a micro-batch, as a crash would: nothing is saved."""

    def __init__(self, step: int, batches: int = 1) -> None:
        self.step, self.batches = step, batches

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step and batch_idx % trainer.accumulate_grad_batches == self.batches - 1:
            raise CutError


class TermAt(Callback):
    """Asks the process to stop before a micro-batch, as a scheduler does."""

    def __init__(self, step: int, batches: int = 1) -> None:
        self.step, self.batches = step, batches

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step and batch_idx % trainer.accumulate_grad_batches == self.batches - 1:
            os.kill(os.getpid(), signal.SIGTERM)


class CutInValidation(Callback):
    """Stops the first validation after training began, or the one at a step."""

    def __init__(self, step: int | None = None) -> None:
        self.step = step

    def on_validation_batch_end(self, trainer, *_):
        if not trainer.sanity_checking and self.step in (None, trainer.global_step):
            raise CutError


def build_shards(folder):
    """24 training and 6 validation scenes of either task."""
    for task in ("segmentation", "keypoints"):
        for split, count in (("train", 24), ("val", 4)):
            words = ["--task", task, "--split", split, "--count", str(count), "--seed", str(count)]
            assert main(["data", "build", "synthetic", *words, "--out", str(folder / task / split)]) == 0
    return folder


def experiment(path, *, shards, autoencoder, **over):
    """Write the YAML of the experiment: 6 steps of 2 x 2 rows, 5 an epoch, a validation at steps 3 and 6.

    Args:
        path: the file to write.
        shards: what `build_shards` made.
        autoencoder: folder of the frozen one.
        over: dotted settings with two underscores for the dot, such as `model__init_args__lr`.
    """
    entry = {
        name: {
            "include": str(CONFIGS / "task" / f"{name}.yaml"),
            "train": str(shards / name / "train"),
            "val": str(shards / name / "val"),
            "sampling": {"steps": 1},
            "weight": 0.4,
        }
        for name in ("segmentation", "keypoints")
    }
    config = {
        "include": [str(CONFIGS / "stage" / "tasks.yaml"), str(CONFIGS / "model" / "tiny_new.yaml")],
        "model": {
            "init_args": {
                "lr": 1e-3,
                "warmup_steps": 2,
                "backbone": {
                    "init_args": {
                        "autoencoder": {"init_args": {"weights": str(autoencoder)}},
                        "text": {"init_args": {"weights": None, "config": {"hidden_size": 32, "intermediate_size": 32,
                                                          "num_hidden_layers": 1, "num_attention_heads": 2}}},
                        "unet": {"block_out_channels": [16, 16], "attention_head_dim": 1, "norm_num_groups": 4},
                    }
                },
            }
        },
        "data": {
            "class_path": "idiff.data.datamodule.MixtureDataModule",
            "init_args": {"tasks": entry, "batch_size": 2, "val_samples": 2, "val_groups": 2},
        },
        "ema": {"decay": 0.9},
        "last": {"every_n_steps": 2},
        "evaluate": {"table": False, "pictures": 2},
        "trainer": {
            "default_root_dir": "run",
            "max_steps": 6,
            "accumulate_grad_batches": 2,
            "val_check_interval": 6,
            "log_every_n_steps": 1,
            "gradient_clip_val": 1.0,
            "accelerator": "cpu",
            "enable_model_summary": False,
        },
    }  # fmt: skip
    for key, value in over.items():
        place = config
        *way, leaf = key.split("__")
        for part in way:
            place = place.setdefault(part, {})
        place[leaf] = value
    path.write_text(yaml.safe_dump(config))
    return str(path)


def fit_with(monkeypatch, words, *callbacks):
    """Run the command with more callbacks than the configuration names."""
    from idiff.cli import lightning_commands as command

    built = command.StageCLI.instantiate_trainer

    def instantiate(self, **kwargs):
        trainer = built(self, **kwargs)
        trainer.callbacks[:0] = callbacks
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr(command.StageCLI, "instantiate_trainer", instantiate)
        return main(words)


def events(run):
    """Scalars of a run folder: tag -> list of (step, value); and the tags of its images."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(run))
    read.Reload()
    tags = read.Tags()
    scalars = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags["scalars"]}
    return scalars, set(tags["images"])


def state(run):
    """The newest checkpoint of a run."""
    path, passed = newest(Path(run) / "checkpoints")
    assert path is not None, passed
    return torch.load(path, weights_only=True)


def assert_same_state(one, other):
    """Averaged weights, raw weights and optimizer state are equal bit by bit."""
    assert one["global_step"] == other["global_step"]
    for part in ("state_dict", "raw"):
        assert one[part].keys() == other[part].keys()
        for name, value in one[part].items():
            assert torch.equal(value, other[part][name]), f"{part} {name}"
    before, after = one["optimizer_states"][0], other["optimizer_states"][0]
    assert before["param_groups"] == after["param_groups"]
    for number, moments in before["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, after["state"][number][name]), f"optimizer {number} {name}"
    assert one["lr_schedulers"] == other["lr_schedulers"]
    assert one["average_updates"] == other["average_updates"]
    assert one["MixtureDataModule"] == other["MixtureDataModule"]


def lines(path):
    """A JSON-lines file as a list."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]
