"""What callbacks ask of a stage and of a data module, by name alone: they import neither."""

from __future__ import annotations

from typing import Protocol, cast

import lightning.pytorch as pl
from torch import Tensor

from idiff.tasks.base import Task


class Painter(Protocol):
    """A stage that paints."""

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them."""


class _Tasks(Protocol):
    tasks: dict[str, Task]


def painter(module: pl.LightningModule) -> Painter:
    """The stage as a painter."""
    return cast("Painter", module)


def task_of(trainer: pl.Trainer, name: str) -> Task:
    """The data module's task of this name."""
    return cast("_Tasks", trainer.datamodule).tasks[name]  # type: ignore[attr-defined]
