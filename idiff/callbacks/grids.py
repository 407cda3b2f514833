"""Rows of the validation grid: source, edited, target, decoded."""

from __future__ import annotations

from torch import Tensor

from idiff.callbacks.scoring import GroupPrediction
from idiff.tasks.base import Task
from idiff.tasks.common.view import original_view
from idiff.types import Batch, Picture
from idiff.utils.images import to_picture


def grid_rows(task: Task, batch: Batch, edited: Tensor, found: list[GroupPrediction]) -> list[list[Picture]]:
    """One row a group: its first painted query, and the whole group's decoded answer over the source.

    Args:
        task: whose images these are.
        batch: whole groups.
        edited: (B, 3, H, W) in [-1, 1].
        found: the groups' answers.

    Returns:
        rows of uint8 (H, W, 3) images; the decoded one has the original's size.
    """
    rows = []
    for answer in found:
        row = _most_painted(batch, answer.rows)
        source = batch.target[row] if batch.source is None else batch.source[row]
        pictures = [to_picture(image.cpu()) for image in (source, edited[row], batch.target[row])]
        seen = batch.target[row] if batch.source is None else batch.source[row]
        decoded = task.render(answer.prediction, original_view(seen, answer.queries[0]))
        rows.append([*pictures, decoded])
    return rows


def _most_painted(batch: Batch, rows: slice) -> int:
    """The row of a group whose target differs most from its source: a no-target query shows nothing."""
    if batch.source is None:
        return int(rows.start)
    change = (batch.target[rows] - batch.source[rows]).abs().flatten(1).mean(dim=1)
    return int(rows.start) + int(change.argmax())
