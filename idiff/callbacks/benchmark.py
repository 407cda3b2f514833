"""Scoring for a metric card: as in training, with intervals, and with metrics that need a model of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torchmetrics import Metric

from idiff.callbacks.evaluate import Evaluate
from idiff.callbacks.scoring import Scorer
from idiff.tasks.base import Task


class Benchmark(Evaluate):
    """`Evaluate` without pictures and table, with 95 % intervals of the model's figures.

    Args:
        resamples: of the pictures, for intervals; 0: no intervals.
        seed: of the resamples.
        more: makes further metrics by name; None: those of the task alone.
    """

    def __init__(
        self, *, resamples: int = 1000, seed: int = 0, more: Callable[[], Mapping[str, Metric]] | None = None
    ) -> None:
        super().__init__(pictures=0, table=False)
        self.resamples, self.seed, self.more = resamples, seed, more

    def scorer(self, task: Task, *, baselines: bool) -> Scorer:
        """See `Evaluate.scorer`."""
        return Scorer(task, baselines=baselines, resamples=self.resamples, seed=self.seed, more=self.more)
