"""A task of a model on a slice of data: settings of the sampling are measured on it, each of them once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from idiff._version import __version__
from idiff.callbacks.benchmark import Benchmark
from idiff.data.shards.reader import ShardSet
from idiff.evaluation.card import without_nan
from idiff.evaluation.measure import Painting, Trainer, measure
from idiff.evaluation.measured_points import Point, PointFile
from idiff.models.io.checkpoint import Loaded
from idiff.sampling import Sampling
from idiff.tasks.saved import TaskChoice


class TaskSlice:
    """Measures settings on the same items and the same noise, as `idiff evaluate` does, without baselines and intervals.

    Args:
        loaded: the model.
        painting: the same model, ready to be scored.
        choice: the task.
        trainer: see `measure`; all measurements are run by it.
        data: shards.
        out: the file that the points are kept in.
        limit: items, spread evenly over the set; None: all.
        seed: of the sampled images.

    Attributes:
        metric: the task's headline.
        lower_is_better: whether it is an error.
        file: the points.
        fresh: how many were measured here.

    Raises:
        ConfigError: the file holds other points.
        DataError: the shards cannot be read.
    """

    def __init__(
        self,
        loaded: Loaded,
        painting: Painting,
        choice: TaskChoice,
        *,
        trainer: Trainer,
        data: str,
        out: Path,
        limit: int | None,
        seed: int,
    ) -> None:
        self.painting, self.choice, self.trainer, self.data = painting, choice, trainer, data
        self.limit, self.seed = limit, seed
        self.metric, self.lower_is_better = choice.task.headline, choice.task.headline_lower_is_better
        self.fingerprint = ShardSet.open(data).fingerprint
        identity: dict[str, Any] = {
            "task": choice.entry,
            "headline": self.metric,
            "checkpoint": {"name": loaded.name, "sha256": loaded.sha256, "step": loaded.step},
            "data": {"path": data, "fingerprint": self.fingerprint},
            "limit": limit,
            "seed": seed,
            "version": __version__,
        }
        self.file = PointFile.open(out, identity)
        self.fresh = 0

    def score(self, sampling: Sampling) -> Point:
        """The point of a setting: from the file, or measured now and kept there.

        Raises:
            IdiffError: the data cannot be used, nothing was scored, or the file cannot be written.
        """
        sampling = sampling.under(self.painting.backbone.objective.rule)
        known = self.file.measured(sampling)
        if known is not None:
            return known
        name, backbone = self.choice.name, self.painting.backbone
        backbone.sample_seed = self.seed
        evaluate = Benchmark(resamples=0, baselines=False)
        score, _ = measure(
            self.trainer, self.painting, replace(self.choice, sampling=sampling), data=self.data, evaluate=evaluate,
            limit=self.limit,
        )  # fmt: skip
        point = Point(
            sampling=sampling,
            metrics=without_nan(score.metrics),
            evaluations_per_query=evaluate.evaluations[name],
            seconds_per_query=evaluate.seconds[name] / max(score.queries, 1),
            samples=score.samples,
            queries=score.queries,
            device=self.painting.painted_on,
        )
        self.file.add(point)
        self.fresh += 1
        return point
