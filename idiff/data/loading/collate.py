"""Stack rows into `types.Batch`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from idiff.data.loading.dataset import Group, LoadingError, Row
from idiff.sampling import Sampling
from idiff.types import Batch, Triplet
from idiff.utils.seeds import hash64


def collate_rows(rows: Sequence[Row]) -> Batch:
    """Stack training rows, of one task or of several.

    Returns:
        a batch with `source` None where no row has a source, and `answer` where every row has one.

    Raises:
        LoadingError: pictures of different sizes, or only some rows have a source.
    """
    return _stack(
        [row.triplet for row in rows],
        position=[row.position for row in rows],
        task=[row.task for row in rows],
        bad=[name for row in rows for name in row.bad],
    )


def collate_groups(groups: Sequence[Group], *, task: str, sampling: Sampling) -> Batch:
    """Stack the evaluation prompts of whole groups of one task.

    The position of a row is a hash of its key: its noise is the same in every run, at any batch size and on any rank.

    Args:
        groups: each the prompts of one item.
        task: the task's name in the configuration.
        sampling: how these rows are sampled.

    Raises:
        LoadingError: no group has a usable prompt, or pictures differ in size.
    """
    triplets = [triplet for group in groups for triplet in group.triplets]
    bad = [name for group in groups for name in group.bad]
    if not triplets:
        raise LoadingError(
            f"{task}: none of the {len(groups)} items of an evaluation batch has a usable prompt. Bad samples: "
            f"{'; '.join(bad[:3]) or 'none'}. Check the set with `idiff data check`."
        )
    return _stack(
        triplets,
        position=[hash64("val", triplet.key) for triplet in triplets],
        task=[task] * len(triplets),
        bad=bad,
        sampling=sampling,
    )


def _stack(
    triplets: Sequence[Triplet],
    *,
    position: list[int],
    task: list[str],
    bad: list[str],
    sampling: Sampling | None = None,
) -> Batch:
    sources = [triplet.source for triplet in triplets if triplet.source is not None]
    if sources and len(sources) != len(triplets):
        raise LoadingError(
            f"{len(sources)} of {len(triplets)} rows of a batch have a source picture ({_by_task(triplets, task)}): "
            "text-to-image and editing tasks cannot share a mixture."
        )
    pictures = [triplet.target for triplet in triplets]
    rejected = [triplet.rejected for triplet in triplets if triplet.rejected is not None]
    if len({picture.shape for picture in [*pictures, *sources, *rejected]}) > 1:
        raise LoadingError(
            f"one batch has pictures of several sizes ({_by_task(triplets, task)}): give every task one size."
        )
    return Batch(
        keys=[triplet.key for triplet in triplets],
        instruction=[triplet.instruction for triplet in triplets],
        source=torch.stack(sources) if sources else None,
        target=torch.stack(pictures),
        query=[triplet.query for triplet in triplets],
        annotation=[triplet.annotation for triplet in triplets],
        position=torch.tensor(position, dtype=torch.int64),
        task=task,
        sampling=sampling,
        answer=_stack_answers(triplets),
        parts=[triplet.parts for triplet in triplets],
        rejected=torch.stack(rejected) if len(rejected) == len(triplets) else None,
        bad=bad,
    )


def _stack_answers(triplets: Sequence[Triplet]) -> Tensor | None:
    """All answers, padded with empty maps to the most channels: tasks of a mixture ask for one colour, or for several."""
    answers = [triplet.answer for triplet in triplets if triplet.answer is not None]
    if len(answers) != len(triplets) or len({answer.shape[1:] for answer in answers}) > 1:
        return None
    stacked = answers[0].new_zeros((len(answers), max(len(answer) for answer in answers), *answers[0].shape[1:]))
    for row, answer in zip(stacked, answers, strict=True):
        row[: len(answer)] = answer
    return stacked


def _by_task(triplets: Sequence[Triplet], task: Sequence[str]) -> str:
    """Name one row of each task with its shapes."""
    seen: dict[str, str] = {}
    for name, triplet in zip(task, triplets, strict=True):
        source = "no source" if triplet.source is None else f"source {tuple(triplet.source.shape)}"
        seen.setdefault(name, f"{name}: {source}, target {tuple(triplet.target.shape)}")
    return "; ".join(seen.values())
