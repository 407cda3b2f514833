"""One way to score a model on a task: Lightning's validation with the evaluate callback. Commands that score go through it."""

from __future__ import annotations

import signal
from typing import Any, Protocol

from idiff.callbacks.benchmark import Benchmark
from idiff.callbacks.scoring import Score
from idiff.data.datamodule import TaskDataModule
from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.stages import TaskTraining
from idiff.tasks.example_pair import ExamplePair
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


class Trainer(Protocol):
    """What `measure` asks of Lightning's trainer; its `callbacks` are a list that Lightning declares nowhere."""

    def validate(self, model: Any, *, datamodule: Any, verbose: bool) -> Any:
        """Run the validation sets of a data module through a model, and the callbacks."""


def measure(
    trainer: Trainer,
    painting: Painting,
    choice: TaskChoice,
    *,
    data: str,
    evaluate: Benchmark,
    limit: int | None = None,
    examples: str | None = None,
) -> tuple[Score, str]:
    """Score a model.

    Args:
        trainer: runs the validation where it was told to; it can be used again.
        painting: the model; its `sample_seed` seeds the images.
        choice: the task, and how its images are sampled.
        data: shards.
        evaluate: what is scored, a callback for this validation alone; it keeps the seconds and the evaluations.
        limit: items, spread evenly over the set; None: all.
        examples: shards that example pairs come from; None: from `data`.

    Returns:
        the score, and the fingerprint of the shards.

    Raises:
        ConfigError: nothing was scored, or the task shows no examples.
        IdiffError: the shards cannot be used.
        SystemExit: with 143, at SIGTERM.
    """
    if examples is not None and not isinstance(choice.task, ExamplePair):
        raise ConfigError(
            f"examples come from {examples}, and the task '{choice.name}' shows none: it was trained without `example: pair`."
        )
    module = TaskDataModule(
        task=choice.task, train=examples, val=data, name=choice.name, sampling=choice.sampling, val_samples=limit
    )
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    callbacks.append(evaluate)
    try:
        with StopRequest(signal.SIGTERM, on_stop=leave, twice=False):
            trainer.validate(painting, datamodule=module, verbose=False)
    finally:
        callbacks.remove(evaluate)
    score = evaluate.results.get(choice.name)
    if score is None:
        raise ConfigError(f"{data} holds no items for the task '{choice.name}': nothing was scored")
    return score, module.fingerprint(choice.name)
