"""What callbacks ask of a stage and of a data module, by name alone: they import neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast, runtime_checkable

import lightning.pytorch as pl
from torch import Tensor

from idiff.tasks.base import Task


@runtime_checkable
class _Renders(Protocol):
    """A stage with an autoencoder."""

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them."""


class _Tasks(Protocol):
    tasks: dict[str, Task]


def render_of(module: pl.LightningModule) -> Callable[[Tensor], Tensor] | None:
    """How the stage's autoencoder renders images; None for a stage without one."""
    return module.render if isinstance(module, _Renders) else None


def task_of(trainer: pl.Trainer, name: str) -> Task:
    """The data module's task of this name."""
    return cast("_Tasks", trainer.datamodule).tasks[name]  # type: ignore[attr-defined]
