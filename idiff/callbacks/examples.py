"""Examples of a validation that people look at: the first ones, which stay the same, and those with the lowest scores."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from torch import Tensor

from idiff.callbacks.scoring import GroupPrediction
from idiff.tasks.base import Task
from idiff.tasks.common.view import original_view
from idiff.types import Batch, Picture
from idiff.utils.images import to_picture

SCORED = 500
"""Samples of a task that are scored one by one in a validation, the first ones: this takes longer than scoring all at once."""


@dataclass(slots=True)
class Example:
    """One group of queries as one row of images.

    Attributes:
        key: of the sample.
        sentence: the prompt of the query that is shown.
        asked: prompts of the group.
        score: the task's headline for this sample alone; None where it says nothing.
        pictures: uint8 (H, W, 3): source, edited, target, decoded. The decoded one has the original's size.
    """

    key: str
    sentence: str
    asked: int
    score: float | None
    pictures: list[Picture]


class Examples:
    """What is shown of one task.

    Args:
        task: whose images these are.
        first: samples kept from the beginning.
        worst: samples kept by their score.

    Attributes:
        shown: the first samples, in order.
        scored: samples that had a score of their own.
    """

    def __init__(self, task: Task, *, first: int, worst: int) -> None:
        self.task, self.first = task, first
        self.shown: list[Example] = []
        self.scored = self._seen = 0
        self._metrics = task.metrics()
        for metric in self._metrics.values():
            metric.sync_on_compute = metric._to_sync = False  # of this rank's samples alone: the others are elsewhere
        self._worst: list[tuple[float, int, Example]] = []  # a heap whose first entry is the best of the worst
        self._most = worst

    @property
    def worst(self) -> list[Example]:
        """The samples with the lowest scores, the lowest first."""
        return [example for *_, example in sorted(self._worst, key=lambda each: (-each[0], each[1]))]

    def add(self, batch: Batch, edited: Tensor, found: list[GroupPrediction]) -> None:
        """Look at one batch.

        Args:
            batch: whole groups of the task.
            edited: (B, 3, H, W) in [-1, 1].
            found: the groups' answers.
        """
        for answer in found:
            self._seen += 1
            score = (
                self._score(answer) if self._seen <= SCORED and (self._most or len(self.shown) < self.first) else None
            )
            share = None if score is None else self.task.headline_share(score)
            self.scored += share is not None
            enters = share is not None and (
                len(self._worst) < self._most or (self._most and -share > self._worst[0][0])
            )
            if len(self.shown) >= self.first and not enters:
                continue
            example = _example(self.task, batch, edited, answer, score)
            if len(self.shown) < self.first:
                self.shown.append(example)
            if enters and share is not None:
                entry = (-share, self._seen, example)
                (heapq.heappush if len(self._worst) < self._most else heapq.heapreplace)(self._worst, entry)

    def _score(self, answer: GroupPrediction) -> float | None:
        """The headline of one sample."""
        self._metrics.reset()
        self._metrics.update(answer.prediction, answer.truth)
        score = float(self._metrics.compute()[self.task.headline])
        return score if math.isfinite(score) else None


def _example(task: Task, batch: Batch, edited: Tensor, answer: GroupPrediction, score: float | None) -> Example:
    """One row: the first painted query, and the whole group's decoded answer over the source."""
    row = _most_painted(batch, answer.rows)
    source = batch.target[row] if batch.source is None else batch.source[row]
    pictures = [to_picture(image.cpu()) for image in (source, edited[row], batch.target[row])]
    decoded = task.render(answer.prediction, original_view(source, batch.query[row]))
    asked = answer.rows.stop - answer.rows.start
    return Example(batch.keys[row], batch.instruction[row], asked, score, [*pictures, decoded])


def _most_painted(batch: Batch, rows: slice) -> int:
    """The row of a group whose target differs most from its source: a no-target query shows nothing."""
    if batch.source is None:
        return int(rows.start)
    change = (batch.target[rows] - batch.source[rows]).abs().flatten(1).mean(dim=1)
    return int(rows.start) + int(change.argmax())
