"""The Lightning trainer of commands that score a model, and which of Lightning's and PyTorch's words are left out."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer

from idiff.errors import ConfigError
from idiff.utils.hardware import AUTO, fast_bfloat16, usable_device

UNHELPFUL = (
    ".*LightningCLI's args parameter is intended.*",
    ".*isinstance.treespec, LeafSpec.*",
    r"Found \d+ module.s. in eval mode at the start of training.*",
    ".*num_workers.*",
    ".*does not have many workers.*",
    ".*your dataloader is not resumable.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*is not supported by the model summary.*",
    r"The number of training batches \(\d+\) is smaller than the logging interval.*",  # lines are counted over epochs
    ".*It is recommended to use .self.log.*sync_dist.*",  # these figures are of all ranks already
)
"""Warnings that a user can do nothing about."""


def quiet() -> None:
    """Leave out what a user can do nothing about, and keep PyTorch to one thread where `OMP_NUM_THREADS` is not set."""
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message=message)
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def scoring_trainer(device: str | None = None, *, ranks: int | None = None, bar: bool = True) -> Trainer:
    """A trainer for `measure`, which writes nothing.

    Args:
        device: where the network runs, such as `cpu` or `cuda:1`; None and `auto`: accelerators where there are some.
        ranks: processes that share the items; None: one for each accelerator, or one on the device that was named.
        bar: show how far it is.

    Raises:
        ConfigError: there is no such device, or one device is named for several processes.
    """
    return Trainer(
        logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=bar,
        use_distributed_sampler=False, **_placed(device, ranks),
    )  # fmt: skip


def one_device(device: str | None) -> str:
    """The device that was named, else one CUDA device where there is one, else the processor."""
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


def _placed(device: str | None, ranks: int | None) -> dict[str, Any]:
    """A device and a number of processes as arguments of Lightning's trainer."""
    if device in {None, AUTO}:
        return {} if ranks is None else {"devices": ranks}
    place = usable_device(device, setting="--device")
    accelerator = "gpu" if place.type == "cuda" else place.type
    if ranks is not None and ranks > 1 and place.index is not None:
        raise ConfigError(f"--ranks {ranks} needs a device each, and --device names {device} alone: give {place.type}.")
    if place.type == "cpu" or (ranks is not None and ranks > 1):
        return {"accelerator": accelerator, "devices": ranks or 1}
    return {"accelerator": accelerator, "devices": [place.index or 0]}


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse settings of the trainer that Lightning refuses late, or in words of its own.

    Raises:
        ConfigError: names the setting and what it may be.
    """
    if settings.get("val_check_interval") == 0:
        raise ConfigError(
            "trainer.val_check_interval is 0: expected steps between validations, 1 or more, a share of an epoch such as 0.5, "
            "or null."
        )
    if settings.get("devices") in (0, "0"):
        raise ConfigError("trainer.devices is 0: expected 1 or more, or auto.")


def slow_bfloat16(trainer: Trainer) -> bool:
    """Whether a trainer computes in bfloat16 on a processor that has none of its own."""
    on_cpu = trainer.strategy.root_device.type == "cpu"
    return on_cpu and "bf16" in str(trainer.precision) and not fast_bfloat16()


def say_aside(text: str) -> None:
    """Print a line on stderr."""
    sys.stderr.write(f"idiff: {text}\n")
