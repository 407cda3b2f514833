"""The class of a picture, classes to prompts that the text encoder sees to the end, and the answer drawn for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from idiff.errors import BadSampleError
from idiff.tasks.common.objects import categories_of, things_of
from idiff.types import Picture, Sample
from idiff.utils.tokens import fits

Write = Callable[[Sequence[int]], str]
"""The instruction that names classes, given by their indices."""


def shown_class(sample: Sample) -> tuple[int | None, list[int]]:
    """The class of the picture, None where it is said to be unknown; and the classes that it surely does not show.

    Raises:
        BadSampleError: nothing says what the picture shows.
    """
    names, things = categories_of(sample), things_of(sample) if "instances" in sample.annotation else []
    right: int | None = None
    if "category" in sample.annotation:
        given = sample.annotation["category"]
        if given is not None and given not in names:
            raise BadSampleError(sample.key, "annotation.category", f"got {given!r}, expected one of meta.categories")
        right = None if given is None else names.index(given)
    elif things:
        right = max(things, key=lambda thing: int(thing.mask.sum())).category  # the first of equals
    else:
        raise BadSampleError(
            sample.key, "annotation.category", "got none and no instances, expected the picture's class"
        )
    shown = {thing.category for thing in things} | {right}
    return right, [index for index in range(len(names)) if index not in shown]


def fitting(chosen: Sequence[int], write: Write, *, key: str, field: str = "meta.categories") -> list[int]:
    """As many of the first classes as one prompt of the text encoder holds; `field` names where the classes come from.

    Raises:
        BadSampleError: the first class alone does not fit.
    """
    kept = list(chosen)
    while not fits(write(kept)):
        kept.pop()
        if not kept:
            reason = f"one class makes a prompt that is too long for the text encoder ({write(chosen[:1])[:60]}...)"
            raise BadSampleError(key, field, f"{reason}: give the class a shorter name")
    return kept


def prompts(
    order: Sequence[int], most: int, write: Write, *, key: str, field: str = "meta.categories"
) -> list[list[int]]:
    """Spread classes over as few prompts as hold them, of about equally many classes each.

    Args:
        order: indices of the classes.
        most: most classes of one prompt.
        write: the instruction of some of them.
        key: of the sample, for the error.
        field: where the classes come from, for the error.

    Returns:
        indices of the classes of each prompt: each class in just one, and each prompt within the limit of the text encoder.

    Raises:
        BadSampleError: one class alone does not fit.
    """
    count = math.ceil(len(order) / most)
    return [part for first in range(count) for part in _split(list(order[first::count]), write, key, field)]


def _split(some: list[int], write: Write, key: str, field: str) -> list[list[int]]:
    if len(some) == 1 or fits(write(some)):
        return [fitting(some, write, key=key, field=field)]
    return [*_split(some[::2], write, key, field), *_split(some[1::2], write, key, field)]


def named_square(picture: Picture, name: str, rgb: Sequence[int]) -> Picture:
    """Lay half of a colour over a rectangle in the middle and write a name into it.

    Args:
        picture: uint8 (H, W, 3); stays as it is.
        name: of the class.
        rgb: 0 to 255.

    Returns:
        uint8 (H, W, 3), a new picture.
    """
    drawn, (height, width) = picture.copy(), picture.shape[:2]
    rows, columns = (slice(side // 4, max(side - side // 4, 1)) for side in (height, width))
    drawn[rows, columns] = (0.5 * drawn[rows, columns] + 0.5 * np.asarray(rgb, np.float32)).astype(np.uint8)
    scale, thick = max(0.6, width / 160), max(1, width // 160)
    cv2.putText(drawn, name, (width // 4, height // 2), cv2.FONT_HERSHEY_PLAIN, scale, (0, 0, 0), thick, cv2.LINE_AA)
    return drawn
