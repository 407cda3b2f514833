"""One way to score a model on a task: Lightning's validation with the evaluate callback. Commands that score go through it."""

from __future__ import annotations

import signal
from typing import Any

import lightning.pytorch as pl
import torch

from idiff.callbacks.benchmark import Benchmark
from idiff.callbacks.scoring import Score
from idiff.data.datamodule import TaskDataModule
from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.stages import TaskTraining
from idiff.tasks.saved import TaskChoice
from idiff.types import Batch, Painted
from idiff.utils.signals import StopRequest, leave


class Painting(TaskTraining):
    """A model that is scored and not trained: nothing but what a query costs is computed when it paints.

    Args:
        backbone: the model.

    Attributes:
        painted_on: kind of the device of the last batch.
    """

    def __init__(self, backbone: LatentDiffusion) -> None:
        super().__init__(backbone=backbone)
        self.painted_on = ""

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Painted:  # type: ignore[override]  # Lightning passes it on
        """Paint. No loss: nobody looks at it."""
        self.painted_on = batch.target.device.type
        return self.paint(batch)


def measure(
    painting: Painting,
    choice: TaskChoice,
    *,
    data: str,
    evaluate: Benchmark,
    limit: int | None = None,
    device: str | None = None,
    bar: bool = True,
) -> tuple[Score, str]:
    """Score a model.

    Args:
        painting: the model; its `sample_seed` seeds the pictures.
        choice: the task, and how its pictures are sampled.
        data: shards.
        evaluate: what is scored; it keeps the seconds and the evaluations.
        limit: items, spread evenly over the set; None: all.
        device: where the network runs, such as `cpu` or `cuda:1`; None: an accelerator where there is one.
        bar: show how far it is.

    Returns:
        the score, and the fingerprint of the shards.

    Raises:
        ConfigError: there is no such device, or nothing was scored.
        IdiffError: the shards cannot be used.
        SystemExit: with 143, at SIGTERM.
    """
    module = TaskDataModule(task=choice.task, val=data, name=choice.name, sampling=choice.sampling, val_samples=limit)
    trainer = pl.Trainer(
        logger=False, callbacks=[evaluate], enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=bar, **placed(device),
    )  # fmt: skip
    with StopRequest(signal.SIGTERM, on_stop=leave, twice=False):
        trainer.validate(painting, datamodule=module, verbose=False)
    score = evaluate.results.get(choice.name)
    if score is None:
        raise ConfigError(f"{data} holds no items for the task '{choice.name}': nothing was scored")
    return score, module.fingerprint(choice.name)


def placed(device: str | None) -> dict[str, Any]:
    """A device as arguments of Lightning's trainer.

    Raises:
        ConfigError: there is no such device.
    """
    if device is None:
        return {}
    try:
        place = torch.device(device)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {device} cannot be used: {str(error).splitlines()[0]}") from None
    if place.type == "cpu":
        return {"accelerator": "cpu", "devices": 1}
    return {"accelerator": "gpu" if place.type == "cuda" else place.type, "devices": [place.index or 0]}
