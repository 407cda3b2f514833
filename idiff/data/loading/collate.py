"""Stack triplets into `types.Batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from idiff.data.loading.dataset import Example, Group, LoadingError
from idiff.sampling import Sampling
from idiff.types import Batch, Triplet
from idiff.utils.seeds import hash64


def collate_examples(examples: Sequence[Example[Triplet]]) -> Batch:
    """Stack training examples, of one task or of several.

    Returns:
        a batch with `source` None where no example has a source, and `answer` where every example has one. Its annotations are
        empty: training does not score, and workers need not pass on what is only scored against.

    Raises:
        LoadingError: images of different sizes, or only some examples have a source.
    """
    batch = _stack(
        [example.triplet for example in examples],
        position=[example.position for example in examples],
        task=[example.task for example in examples],
        bad=[name for example in examples for name in example.bad],
    )
    return replace(batch, annotation=[{} for _ in examples])


def collate_groups(groups: Sequence[Group], *, task: str, sampling: Sampling) -> Batch:
    """Stack the evaluation prompts of whole groups of one task.

    The position of an example is a hash of its key: its noise is the same in every run, at any batch size and on any rank.

    Args:
        groups: each the prompts of one item.
        task: the task's name in the configuration.
        sampling: how these examples are sampled.

    Raises:
        LoadingError: no group has a usable prompt, or images differ in size.
    """
    triplets = [triplet for group in groups for triplet in group.triplets]
    bad = [name for group in groups for name in group.bad]
    if not triplets:
        raise LoadingError(
            f"{task}: none of the {len(groups)} items of an evaluation batch has a usable prompt. Bad samples: "
            f"{'; '.join(bad[:3]) or 'none'}. Check the set with `idiff data check`."
        )
    batch = _stack(
        triplets,
        position=[hash64("val", triplet.key) for triplet in triplets],
        task=[task] * len(triplets),
        bad=bad,
    )
    sizes = [len(group.triplets) for group in groups if group.triplets]
    return replace(batch, sampling=sampling, group_sizes=sizes, image_index=_image_index(triplets))


def _image_index(triplets: Sequence[Triplet]) -> Tensor | None:
    """Number the distinct source images (B,), comparing each with the one before it; None for text-to-image."""
    index: list[int] = []
    last: Tensor | None = None
    for triplet in triplets:
        if triplet.source is None:
            return None
        same = last is not None and (last is triplet.source or torch.equal(last, triplet.source))
        index.append((index[-1] if index else -1) + (not same))
        last = triplet.source
    return torch.tensor(index, dtype=torch.int64)


def _stack(
    triplets: Sequence[Triplet],
    *,
    position: list[int],
    task: list[str],
    bad: list[str],
) -> Batch:
    sources = [triplet.source for triplet in triplets if triplet.source is not None]
    if sources and len(sources) != len(triplets):
        raise LoadingError(
            f"{len(sources)} of {len(triplets)} examples of a batch have a source image ({_by_task(triplets, task)}): "
            "text-to-image and editing tasks cannot share a mixture."
        )
    pictures = [triplet.target for triplet in triplets]
    rejected = [triplet.rejected for triplet in triplets if triplet.rejected is not None]
    if len({picture.shape for picture in [*pictures, *sources, *rejected]}) > 1:
        raise LoadingError(
            f"one batch has images of several sizes ({_by_task(triplets, task)}): give every task one size."
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
        answer=_stack_answers(triplets),
        parts=[triplet.parts for triplet in triplets],
        rejected=torch.stack(rejected) if len(rejected) == len(triplets) else None,
        bad=bad,
    )


def _stack_answers(triplets: Sequence[Triplet]) -> Tensor | None:
    """All answers, padded with empty maps to the most channels: tasks of a mixture ask for one color, or for several."""
    answers = [triplet.answer for triplet in triplets if triplet.answer is not None]
    if len(answers) != len(triplets) or len({answer.shape[1:] for answer in answers}) > 1:
        return None
    stacked = answers[0].new_zeros((len(answers), max(len(answer) for answer in answers), *answers[0].shape[1:]))
    for padded, answer in zip(stacked, answers, strict=True):
        padded[: len(answer)] = answer
    return stacked


def _by_task(triplets: Sequence[Triplet], task: Sequence[str]) -> str:
    """Name one example of each task with its shapes."""
    seen: dict[str, str] = {}
    for name, triplet in zip(task, triplets, strict=True):
        source = "no source" if triplet.source is None else f"source {tuple(triplet.source.shape)}"
        seen.setdefault(name, f"{name}: {source}, target {tuple(triplet.target.shape)}")
    return "; ".join(seen.values())
