"""What callbacks ask of a stage and of a data module, by name alone: they import neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast, runtime_checkable

import lightning.pytorch as pl
from torch import Tensor

from idiff.callbacks.scoring import GroupPrediction, Score
from idiff.tasks.base import Task
from idiff.types import Batch


@runtime_checkable
class _Renders(Protocol):
    """A stage with an autoencoder."""

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them."""


class SecondLook(Protocol):
    """What asks a model about the images that it painted."""

    def update(self, batch: Batch, found: list[GroupPrediction]) -> None:
        """Ask about one batch of answers."""

    def add_to(self, score: Score) -> None:
        """Add what was read to the figures of the task; all ranks call it together."""


class _Tasks(Protocol):
    tasks: dict[str, Task]


def render_of(module: pl.LightningModule) -> Callable[[Tensor], Tensor] | None:
    """How the stage's autoencoder renders images; None for a stage without one."""
    return module.render if isinstance(module, _Renders) else None


def task_of(trainer: pl.Trainer, name: str) -> Task:
    """The data module's task of this name."""
    return cast("_Tasks", trainer.datamodule).tasks[name]  # type: ignore[attr-defined]
