"""What an example pair shows: another sample's answer to the same question, in the colors that the question names.

It is read off a task's own triplets, so that a task says nothing about examples. A query names things (`names`, `joints` or `name`;
a phrase names none that another image has) and a color for each (`rgbs` or `rgb`), and `transparency`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from idiff.types import Triplet
from idiff.utils.painting import blend

LEAST = 4
"""Pixels that an answer must change to be worth showing."""

_SAME = 1e-3

Named = tuple[str | None, tuple[int, ...]]
"""A thing, None where it is the sample's own, and its color."""


def named_in_colors(query: Mapping[str, Any]) -> list[Named]:
    """What a query asks for with a color for each thing; empty where its task paints in no color that is named."""
    rgbs = query.get("rgbs") or ([query["rgb"]] if "rgb" in query else [])
    names: Sequence[str | None] = _names(query) or [None]
    if len(names) != len(rgbs):
        return []
    return [(name, tuple(int(value) for value in rgb)) for name, rgb in zip(names, rgbs, strict=True)]


def names_something(query: Mapping[str, Any]) -> bool:
    """Whether what is asked depends on names or colors, so that not every answer of another sample fits."""
    return bool(_names(query) or named_in_colors(query))


def shown_answer(question: Triplet, answers: Sequence[Triplet]) -> tuple[Tensor, Tensor] | None:
    """Another sample's source, and its answer to a question.

    Args:
        question: of a sample.
        answers: triplets of another sample, all with one source: what they paint is painted again in the question's colors.

    Returns:
        float32 (3, H, W) each in [-1, 1]; None where nothing that is asked for is painted in any of them.
    """
    wanted = named_in_colors(question.query)
    for one in answers:
        alike = named_in_colors(one.query) == wanted and _names(one.query) == _names(question.query)
        if alike and one.source is not None and _enough((one.source != one.target).any(dim=0)):
            return one.source, one.target
    masks, source = _masks(answers), answers[0].source if answers else None
    found = [(masks[name], rgb) for name, rgb in wanted if name in masks]
    if source is None or not found:
        return None
    target, share = source, float(question.query.get("transparency", 0.0))
    for mask, rgb in found:
        target = torch.where(mask, blend(source, mask, rgb, share), target)
    return source, target


def _names(query: Mapping[str, Any]) -> list[str]:
    several = query.get("names") or query.get("joints") or ([query["name"]] if "name" in query else [])
    return [str(name) for name in several]


def _masks(answers: Sequence[Triplet]) -> dict[str | None, Tensor]:
    """Where each thing is painted, bool (H, W): pixels that hold just what its color makes of the source there."""
    masks: dict[str | None, Tensor] = {}
    for one in answers:
        if one.source is None:
            continue
        changed = (one.source != one.target).any(dim=0)
        painted = changed if one.answer is None else changed | (one.answer > 0).any(dim=0)
        for name, rgb in named_in_colors(one.query):
            made = blend(one.source, painted, rgb, float(one.query.get("transparency", 0.0)))
            mask = painted & ((made - one.target).abs() < _SAME).all(dim=0)
            if _enough(mask):
                masks.setdefault(name, mask)
    return masks


def _enough(mask: Tensor) -> bool:
    return int(mask.sum()) >= LEAST
