"""Ask a model a second time: about what it painted itself, and about the picture that it should have painted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from idiff.callbacks.scoring import GroupPrediction, Score, gathered, group_predictions, room_for_truths
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.errors import IdiffError
from idiff.predictions import ImagePrediction, ImageTruth, expect
from idiff.stages import TaskTraining
from idiff.tasks import by_kind
from idiff.tasks.base import Task
from idiff.tasks.saved import TaskChoice
from idiff.types import Batch, Truth
from idiff.utils.images import to_picture

PREFIX = "read_"
"""Begins the names of the figures."""


class Rereading:
    """Score what a task of the model reads from painted pictures, by that task's own metrics with names `read_...`.

    The ceiling is what it reads from the true pictures, through the same model; the floor is its blind baseline.

    Args:
        task: painted the pictures.
        reader: reads them, see `Task.again`.
        painting: the model.
    """

    def __init__(self, task: Task, reader: TaskChoice, painting: TaskTraining) -> None:
        self.task, self.reader, self.painting = task, reader, painting
        self.found, self.ceiling = reader.task.all_metrics(), reader.task.all_metrics()
        self.truths: list[tuple[dict[str, Any], Truth]] = []

    @torch.no_grad()
    def update(self, batch: Batch, found: list[GroupPrediction]) -> None:
        """Ask about each painted picture of a batch, and about the true one."""
        for answer in found:
            painted = expect(answer.prediction, ImagePrediction, by="Rereading").picture
            true = expect(answer.truth, ImageTruth, by="Rereading").picture
            for metrics, picture in ((self.found, painted), (self.ceiling, true)):
                sample = self.task.asked_again(to_picture(picture), batch.annotation[answer.rows.start])
                if sample is None:
                    continue
                read = self._read(Group(self.reader.task.queries(sample, 0), []))
                metrics.to(self.painting.device).update(read.prediction, read.truth)
                if metrics is self.ceiling and room_for_truths(self.truths):
                    self.truths.append((read.queries[0], read.truth))

    def add_to(self, score: Score) -> None:
        """Add the figures to the score of the task that painted."""
        baseline = self.reader.task.baseline(gathered([truth for _, truth in self.truths]))
        floor = None
        if baseline is not None:
            floor = self.reader.task.all_metrics().to(self.painting.device)
            for query, truth in self.truths:
                floor.update(baseline[1](query), truth)
            score.baseline_name = ", ".join(filter(None, [score.baseline_name, f"{PREFIX}: {baseline[0]}"]))
        for figures, metrics in ((score.metrics, self.found), (score.ceiling, self.ceiling), (score.baseline, floor)):
            if metrics is not None:
                figures |= {f"{PREFIX}{name}": float(value) for name, value in metrics.compute().items()}

    def _read(self, group: Group) -> GroupPrediction:
        batch = collate_groups([group], task=self.reader.name, sampling=self.reader.sampling).to(self.painting.device)
        painted = self.painting.paint(batch)
        (read,) = group_predictions(self.reader.task, painted.images, painted.sources, batch)
        return read


def rereading(
    painting: TaskTraining, task: Task, choose: Callable[[str], TaskChoice]
) -> tuple[Rereading | None, dict[str, str]]:
    """What asks a model a second time about a task's pictures, and why nothing does.

    Args:
        painting: the model.
        task: paints the pictures.
        choose: the model's own task of a kind.

    Returns:
        None where the task wants no second look, or the model cannot take one; then the reason by name of the figure.
    """
    if task.again is None:
        return None, {}
    try:
        return Rereading(task, choose(task.again), painting), {}
    except IdiffError as error:
        reason = str(error).partition(". ")[0]
        return None, {f"{PREFIX}{by_kind()[task.again].headline}": f"nothing reads the pictures again: {reason}"}
