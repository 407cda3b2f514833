"""Scoring for a metric card: as in training, with intervals, and with metrics that need a model of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import lightning.pytorch as pl
from torch import Tensor
from torchmetrics import Metric

from idiff.callbacks.evaluate import Evaluate
from idiff.callbacks.prediction_files import PredictionFiles
from idiff.callbacks.protocols import SecondLook
from idiff.callbacks.scoring import GroupPrediction, TaskEvaluator
from idiff.checks import check_number
from idiff.tasks.base import Task
from idiff.types import Batch


class Benchmark(Evaluate):
    """`Evaluate` without images and table, with 95 % intervals of the model's figures.

    Args:
        resamples: of the images, for intervals; 0: no intervals.
        seed: of the resamples.
        more: makes further metrics by name; None: those of the task alone.
        again: asks the model about what it painted, see `Task.again`.
        files: where what was decoded and scored is written, for others to re-score.
        baselines: also score ceiling, painted truth, identity and baseline.
    """

    def __init__(
        self,
        *,
        resamples: int = 1000,
        seed: int = 0,
        more: Callable[[], Mapping[str, Metric]] | None = None,
        files: PredictionFiles | None = None,
        again: SecondLook | None = None,
        baselines: bool = True,
    ) -> None:
        super().__init__(pictures=0, worst=0, baselines=baselines, table=False)
        check_number("resamples", resamples, least=0, whole=True)
        self.resamples, self.seed, self.more, self.files, self.again = resamples, seed, more, files, again

    def scorer(self, task: Task, *, baselines: bool) -> TaskEvaluator:
        """See `Evaluate.scorer`."""
        return TaskEvaluator(task, baselines=baselines, resamples=self.resamples, seed=self.seed, more=self.more)

    def found(self, batch: Batch, edited: Tensor, found: list[GroupPrediction]) -> None:
        """Write one batch's answers, and ask about them again."""
        if self.again is not None:
            self.again.update(batch, found)
        if self.files is not None:
            self.files.write(batch, edited, found)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute and log; what was read again comes beside it."""
        super().on_validation_epoch_end(trainer, pl_module)
        if self.again is not None:
            for score in self.results.values():
                self.again.add_to(score)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write what is written at the end."""
        if self.files is not None:
            self.files.close()
