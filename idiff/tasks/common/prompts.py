"""Classes or joints to prompts that the text encoder sees to the end: what does not fit goes into another prompt, nothing is cut.

Five joints with long names can pass CLIP's 77 tokens. What lies beyond would be painted in training and asked for in
evaluation without a word that the model could read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Literal

from idiff.errors import BadSampleError
from idiff.utils.tokens import LIMIT, count_tokens, fits

log = logging.getLogger(__name__)

Write = Callable[[Sequence[int]], str]
"""The instruction that asks for classes or joints, given by their indices."""

Thing = Literal["class", "joint"]

_MANY: dict[Thing, str] = {"class": "classes", "joint": "joints"}
_told: set[str] = set()


def prompts(
    order: Sequence[int], most: int, write: Write, *, key: str, field: str, what: Thing = "class"
) -> list[list[int]]:
    """Spread classes or joints over as few prompts as hold them, of about equally many each.

    Neighbours in the order, such as the two eyes of a skeleton, go to different prompts, so that their discs do not overlap.

    Args:
        order: indices of what is asked for.
        most: most of them in one prompt.
        write: the instruction of some of them.
        key: of the sample, for the error.
        field: where they come from, for the error.
        what: what they are, for the error and the log.

    Returns:
        the indices of each prompt: each index in just one, and each prompt within the limit of the text encoder.

    Raises:
        BadSampleError: one alone does not fit.
    """

    def split(some: list[int]) -> list[list[int]]:
        if len(some) == 1 or fits(write(some)):
            return [fitting(some, write, key=key, field=field, what=what)]
        _tell(some, some[::2], write, what)
        return [*split(some[::2]), *split(some[1::2])]

    count = math.ceil(len(order) / most)
    return [part for first in range(count) for part in split(list(order[first::count]))]


def fitting(chosen: Sequence[int], write: Write, *, key: str, field: str, what: Thing = "class") -> list[int]:
    """As many of the first of a random draw as one prompt holds; the others wait for another draw. Args as in `prompts`.

    Raises:
        BadSampleError: the first alone does not fit.
    """
    kept = list(chosen)
    while not fits(write(kept)):
        if len(kept) == 1:
            text = write(kept)
            reason = f"one {what} makes a prompt that is too long for the text encoder: {count_tokens(text)} tokens"
            remedy = f"expected {LIMIT} or fewer: give the {what} a shorter name"
            raise BadSampleError(key, field, f"{reason} ({text[:60]}...), {remedy}")
        kept.pop()
    if len(kept) < len(chosen):
        _tell(chosen, kept, write, what)
    return kept


def _tell(chosen: Sequence[int], kept: Sequence[int], write: Write, what: Thing) -> None:
    """Say it once for each number of them, in each process."""
    said = f"{len(chosen)} {_MANY[what]} a prompt"
    if said not in _told:
        _told.add(said)
        log.warning(
            "%s pass the %d tokens of the text encoder (%d: %.60s...): this one asks for %d, the others are asked apart",
            said, LIMIT, count_tokens(write(chosen)), write(chosen), len(kept),
        )  # fmt: skip
