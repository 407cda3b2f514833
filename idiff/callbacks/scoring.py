"""One scoring path for everything: painted images in, metrics out. Knows tasks, nothing of training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from idiff.metrics.base import ItemMetric
from idiff.metrics.bootstrap import Additions, Interval, intervals
from idiff.tasks.base import Task
from idiff.types import Batch, Painted, Prediction, Truth

T = TypeVar("T")

BASELINE_SAMPLES = 500
"""How many truths the answer that looks at no image is fitted on."""


@dataclass(slots=True)
class GroupPrediction:
    """The combined prediction of one group of queries.

    Attributes:
        rows: rows of the batch the group has.
        queries: their queries.
        prediction: combined, in the pixels of the original image.
        truth: what it is scored against.
        stored: makes what `Task.stored` stores of it.
    """

    rows: slice
    queries: list[dict[str, Any]]
    prediction: Prediction
    truth: Truth
    stored: Callable[[Prediction], Mapping[str, NDArray[Any]]] = lambda _: {}


def group_predictions(task: Task, edited: Tensor, rendered: Tensor, batch: Batch) -> list[GroupPrediction]:
    """Decode and combine a batch that holds whole groups of one task.

    Args:
        task: whose images these are.
        edited: (B, 3, H, W) in [-1, 1], painted.
        rendered: (B, 3, H, W), the sources as the autoencoder renders them.
        batch: queries and truth; each of its `group_sizes` becomes one prediction.
    """
    predictions = task.decode(edited.float(), rendered.float(), batch.query)  # a trainer of 16 bits paints in 16 bits
    found = []
    start = 0
    for size in batch.group_sizes or [1] * len(batch):
        rows = slice(start, start + size)
        combined = task.combine(predictions[rows], batch.query[rows])
        truth = task.truth(batch.annotation[start])
        found.append(GroupPrediction(rows, batch.query[rows], combined, truth, task.stored))
        start += size
    return found


@dataclass(slots=True)
class Score:
    """Metrics of one task, beside its ceiling and its floors.

    Attributes:
        metrics: of the model.
        reasons: why those that are nan are so, where more is known than that there was nothing to score.
        intervals: 95 % percentile intervals of `metrics` over images; empty where none were asked for.
        ceiling: of the painted truth after the autoencoder.
        painted: of the painted truth as it is: what painting and decoding lose without the autoencoder.
        identity: of the untouched source.
        baseline: of the blind baseline; `baseline_name` says which.
        samples: items. queries: prompts. asked: which classes were asked, `all` or `present`, where the task has classes.
        split: prompts that were added because what an item asks did not fit the text encoder at once.
    """

    metrics: dict[str, float]
    reasons: dict[str, str] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    ceiling: dict[str, float] = field(default_factory=dict)
    painted: dict[str, float] = field(default_factory=dict)
    identity: dict[str, float] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    baseline_name: str = ""
    samples: int = 0
    queries: int = 0
    asked: str | None = None
    split: int = 0


class TaskEvaluator:
    """Collect the metrics of one task over a validation.

    Args:
        task: the task.
        baselines: also score ceiling, painted truth, identity and baseline.
        resamples: of the images, for intervals; 0: no intervals.
        seed: of the resamples.
        more: makes further metrics by name, which the task does not know (those that need a model of their own). The
            baseline is not scored by them.
    """

    def __init__(
        self,
        task: Task,
        *,
        baselines: bool,
        resamples: int = 0,
        seed: int = 0,
        more: Callable[[], Mapping[str, Metric]] | None = None,
    ) -> None:
        self.task = task
        self.baselines, self.resamples, self.seed, self.more = baselines, resamples, seed, more
        self.additions = Additions()
        self.model, self.ceiling, self.painted, self.identity = (self._metrics() for _ in range(4))
        self.truths: list[tuple[dict[str, Any], Truth]] = []
        self.samples = self.queries = self.split = 0
        self.device = torch.device("cpu")
        self.asked: str | None = None

    def update(
        self, batch: Batch, painted: Painted, render: Callable[[Tensor], Tensor] | None
    ) -> list[GroupPrediction]:
        """Score one batch.

        Args:
            batch: whole groups of this task.
            painted: what the stage painted.
            render: images through the autoencoder, for the ceiling; None: the ceiling is nan.

        Returns:
            the model's answers, for images and files.
        """
        self.device, rendered = painted.images.device, painted.sources
        found = group_predictions(self.task, painted.images, rendered, batch)
        self.model.to(self.device)
        for answer in found:
            if self.resamples:
                self.additions.update(self.model, answer.prediction, answer.truth)
            else:
                self.model.update(answer.prediction, answer.truth)
        self.samples += len(found)
        self.queries += len(batch)
        self.split += sum(int(answer.queries[0].get("split", 0)) for answer in found)
        self.asked = self.asked or batch.query[0].get("asked")
        if self.baselines and batch.source is not None:
            if render is not None:
                _update(self.ceiling, group_predictions(self.task, render(batch.target), rendered, batch), self.device)
            _update(self.painted, group_predictions(self.task, batch.target, batch.source, batch), self.device)
            _update(self.identity, group_predictions(self.task, batch.source, rendered, batch), self.device)
            self.truths += [(answer.queries[0], answer.truth) for answer in found[: room_for_truths(self.truths)]]
        return found

    def compute(self) -> Score:
        """All figures as plain numbers, over all ranks."""
        samples, queries, split = (sum(gathered([count])) for count in (self.samples, self.queries, self.split))
        score = Score(
            _numbers(self.model), _reasons(self.model), samples=samples, queries=queries, asked=self.asked, split=split
        )
        if self.resamples:
            found = gathered(self.additions.found)
            score.intervals = intervals(self.model, found, resamples=self.resamples, seed=self.seed)
        if self.baselines:
            score.ceiling, score.painted = _numbers(self.ceiling), _numbers(self.painted)
            score.identity = _numbers(self.identity)
            baseline = self.task.baseline(gathered([truth for _, truth in self.truths]))
            if baseline is not None:
                score.baseline_name, answer = baseline
                metrics = self.task.all_metrics().to(self.device)
                for query, truth in self.truths:
                    metrics.update(answer(query), truth)
                score.baseline = _numbers(metrics)
        return score

    def _metrics(self) -> MetricCollection:
        """Fresh metrics: the task's, and more."""
        metrics = self.task.all_metrics()
        if self.more is not None:
            metrics.add_metrics(dict(self.more()))
        return metrics


def of_all_ranks(value: T) -> list[T]:
    """What each rank has, by rank; every rank must call it."""
    if not (dist.is_available() and dist.is_initialized()):
        return [value]
    values = [value] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def in_order(parts: Iterable[list[T]]) -> list[T]:
    """What ranks found of items that they took in turns, in the order of one process.

    >>> in_order([["a", "c", "e"], ["b", "d"]])
    ['a', 'b', 'c', 'd', 'e']
    """
    rounds = zip_longest(*([[value] for value in part] for part in parts), fillvalue=[])
    return [value for turn in rounds for values in turn for value in values]


def gathered(values: list[T]) -> list[T]:
    """What all ranks found, in the order of one process; every rank must call it."""
    return in_order(of_all_ranks(values))


def room_for_truths(truths: list[Any]) -> int:
    """How many more truths this rank keeps, so that all ranks together keep those that one process would."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else (0, 1)
    return max(0, len(range(rank, BASELINE_SAMPLES, world)) - len(truths))


def _update(metrics: MetricCollection, found: list[GroupPrediction], device: Any) -> None:
    metrics.to(device)
    for answer in found:
        metrics.update(answer.prediction, answer.truth)


def _reasons(metrics: MetricCollection) -> dict[str, str]:
    """What the metrics themselves say about figures that are nan. All ranks must call it together."""
    told = {name: metric.reason() for name, metric in metrics.items(keep_base=True) if isinstance(metric, ItemMetric)}
    return {name: text for name, text in told.items() if text}


def _numbers(metrics: MetricCollection) -> dict[str, float]:
    values = {name: float(value) for name, value in metrics.compute().items()}
    return {name: value if math.isfinite(value) else math.nan for name, value in values.items()}
