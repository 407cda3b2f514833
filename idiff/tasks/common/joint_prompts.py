"""Joints to prompts that the text encoder sees to the end: what does not fit goes into another prompt, nothing is cut.

Five joints with long names can pass CLIP's 77 tokens. What lies beyond would be painted in training and asked for in
evaluation without a word that the model could read.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from idiff.errors import BadSampleError
from idiff.utils.tokens import LIMIT, count_tokens, fits

log = logging.getLogger(__name__)

Write = Callable[[Sequence[int]], str]
"""The instruction that asks for joints, given by their indices."""

_told: set[str] = set()


def prompts(total: int, most: int, write: Write, *, key: str) -> list[list[int]]:
    """Spread all joints of a skeleton over prompts.

    Neighbours in the skeleton's order, such as the two eyes, go to different prompts, so that their discs do not overlap.

    Args:
        total: number of joints.
        most: most joints of one prompt.
        write: the instruction of some of them.
        key: of the sample, for the error.

    Returns:
        indices of the joints of each prompt: each joint in just one, and each prompt within the limit.

    Raises:
        BadSampleError: one joint alone does not fit.
    """
    count = math.ceil(total / most)
    return [part for first in range(count) for part in _split(list(range(first, total, count)), write, key=key)]


def fitting(chosen: list[int], write: Write, *, key: str) -> list[int]:
    """As many of the first joints of a random draw as one prompt holds; the others wait for another draw.

    Raises:
        BadSampleError: the first joint alone does not fit.
    """
    kept = list(chosen)
    while not fits(write(kept)):
        if len(kept) == 1:
            raise _too_long(write(kept), key)
        kept.pop()
    if len(kept) < len(chosen):
        _tell(chosen, kept, write)
    return kept


def _split(chosen: list[int], write: Write, *, key: str) -> list[list[int]]:
    if fits(write(chosen)):
        return [chosen]
    if len(chosen) == 1:
        raise _too_long(write(chosen), key)
    _tell(chosen, chosen[::2], write)
    return [*_split(chosen[::2], write, key=key), *_split(chosen[1::2], write, key=key)]


def _tell(chosen: Sequence[int], kept: Sequence[int], write: Write) -> None:
    """Say it once for each number of joints, in each process."""
    said = f"{len(chosen)} joints a prompt"
    if said not in _told:
        _told.add(said)
        log.warning(
            "%s pass the %d tokens of the text encoder (%d: %.60s...): this one asks for %d, the others are asked apart",
            said, LIMIT, count_tokens(write(chosen)), write(chosen), len(kept),
        )  # fmt: skip


def _too_long(text: str, key: str) -> BadSampleError:
    return BadSampleError(
        key,
        "skeleton.joints",
        f"one joint makes a prompt of {count_tokens(text)} tokens ({text[:60]}...), expected {LIMIT} or fewer: "
        "give the joint a shorter name",
    )
