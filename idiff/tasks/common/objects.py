"""The objects of an image as its annotation has them, and as painted regions: classes, masks, boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from idiff.errors import BadSampleError
from idiff.tasks.common.view import check_picture
from idiff.transforms.geometry import Matrix, Size, warp_labels
from idiff.types import VOID, Labels, Parts, Sample
from idiff.utils.masks import decode_mask, mask_size
from idiff.utils.seeds import hash64
from idiff.utils.strings import name_words

Box = tuple[float, float, float, float]
"""x, y, w, h in pixels, as COCO has it."""

_MOST_THINGS = VOID - 1


@dataclass(slots=True, frozen=True)
class Thing:
    """One object.

    Attributes:
        category: index of its class.
        mask: bool (H, W), its pixels; the filled box where the annotation gives no mask.
        box: as annotated, or the extremes of the mask; None where nothing of the object is seen.
    """

    category: int
    mask: NDArray[np.bool_]
    box: Box | None


def categories_of(sample: Sample) -> list[str]:
    """The names of all classes of the set, `meta["categories"]`.

    Raises:
        BadSampleError: the image or the names are missing, or two classes have one name.
    """
    check_picture(sample)
    names = sample.meta.get("categories")
    if (
        not isinstance(names, Sequence)
        or isinstance(names, str)
        or not names
        or not all(isinstance(name, str) and name.strip() for name in names)
        or len(set(names)) < len(names)
    ):
        raise BadSampleError(sample.key, "meta.categories", f"got {names!r}, expected different names of classes")
    return list(names)


def things_of(sample: Sample) -> list[Thing]:
    """Read `annotation["instances"]`: `category`, and `mask` or `box` or both.

    Raises:
        BadSampleError: the list is missing, a class has no name in `meta["categories"]`, a mask does not fit the image, or an
            object has neither mask nor box.
    """
    names = {name: index for index, name in enumerate(categories_of(sample))}
    instances = sample.annotation.get("instances")
    if not isinstance(instances, Sequence):
        raise BadSampleError(sample.key, "annotation.instances", f"got {instances!r}, expected a list of objects")
    shape, found = (sample.image.shape[0], sample.image.shape[1]), []
    for number, instance in enumerate(instances):
        field, category = f"annotation.instances[{number}]", instance.get("category")
        if category not in names:
            raise BadSampleError(sample.key, f"{field}.category", f"got {category!r}, expected one of meta.categories")
        given, box = instance.get("mask"), instance.get("box")
        if box is not None and not min(box[2:]) > 0:
            box = None
        if given is not None:
            try:
                if mask_size(given) != shape:
                    raise ValueError(f"the size is {list(mask_size(given))}, expected {list(shape)} as the image")
                mask = decode_mask(given)
            except ValueError as error:
                raise BadSampleError(sample.key, f"{field}.mask", str(error)) from None
        elif box is not None:
            mask = filled(box, shape)
        else:
            raise BadSampleError(sample.key, field, "got no mask and no box, expected one of them")
        seen = bool(mask.any())
        found.append(Thing(names[category], mask, (tuple(box) if box else extremes(mask)) if seen else None))
    return found


def shown_class(sample: Sample) -> tuple[int | None, list[int]]:
    """The class of the image, None where it is said to be unknown; and the classes that it surely does not show.

    Raises:
        BadSampleError: nothing says what the image shows.
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
        raise BadSampleError(sample.key, "annotation.category", "got none and no instances, expected the image's class")
    shown = {thing.category for thing in things} | {right}
    return right, [index for index in range(len(names)) if index not in shown]


def filled(box: Sequence[float], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels of an image of (height, width) whose centres lie in a box [x, y, w, h]: bool (H, W)."""
    x, y, width, height = box
    columns, rows = np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5
    inside: NDArray[np.bool_] = ((rows > y) & (rows < y + height))[:, None] & ((columns > x) & (columns < x + width))
    return inside


def extremes(mask: NDArray[np.bool_]) -> Box:
    """The tight box of a mask that is not empty: w and h count pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        float(columns[0]), float(rows[0]), float(columns[-1] - columns[0] + 1), float(rows[-1] - rows[0] + 1),
    )  # fmt: skip


def absent_category(key: str, total: int, present: set[int]) -> int | None:
    """The one class that is asked though the image does not show it, chosen by the sample's key; None where all are there."""
    absent = [index for index in range(total) if index not in present]
    return absent[hash64("absent", key) % len(absent)] if absent else None


def known_parts(sample: Sample, matrix: Matrix, size: Size) -> Parts | None:
    """What all of an image shows, where every object has a mask; see `named_objects`."""
    instances = sample.annotation.get("instances")
    if not instances or len(sample.meta["categories"]) >= VOID or not all("mask" in one for one in instances):
        return None
    return named_objects(sample, matrix, size)


def named_objects(sample: Sample, matrix: Matrix, size: Size) -> Parts | None:
    """What all of an image shows, where the set says that its instances are all there is.

    Args:
        sample: `meta["categories"]` lists the names of all kinds of instance; each instance has `category` and `mask`, those in
            front come last. Without that list nobody knows what lies beside the instances.
        matrix: from the original to the model's pixels.
        size: of the model's image.
    """
    categories = sample.meta.get("categories")
    if not categories:
        return None
    labels = np.zeros(sample.image.shape[:2], np.uint8)
    for instance in sample.annotation["instances"]:
        labels[decode_mask(instance["mask"])] = 1 + categories.index(instance["category"])
    return Parts(torch.from_numpy(warp_labels(labels, matrix, size)), ["background", *map(name_words, categories)])


def numbered(things: Sequence[Thing], category: int, shape: tuple[int, ...]) -> Labels:
    """The objects of a class, numbered from 1 on, later ones in front: uint8 (H, W), 0 elsewhere."""
    numbers = np.zeros(shape[:2], np.uint8)
    chosen = [thing for thing in things if thing.category == category]
    for number, thing in enumerate(chosen):
        numbers[thing.mask] = 1 + number % _MOST_THINGS
    return numbers


def apart(numbers: Labels, gap: int) -> NDArray[np.bool_]:
    """What is painted of numbered objects: all of them, but for a gap on the lower number's side where two are neighbours.

    Args:
        numbers: uint8 (H, W), 0 for no object.
        gap: in pixels; 0: none.

    Returns:
        bool (H, W).
    """
    if not gap:
        return numbers > 0
    highest = cv2.dilate(numbers, np.ones((2 * gap + 1, 2 * gap + 1), np.uint8))
    return np.asarray((numbers > 0) & (highest == numbers))


def regions(scores: NDArray[np.float32], *, least: float = 1.0) -> list[tuple[tuple[int, int, int, int], float]]:
    """The connected regions above one half, by their sides (4 neighbours).

    Args:
        scores: float32 (H, W) in [0, 1].
        least: pixels of the smallest region that counts.

    Returns:
        for each region its box (x, y, w, h) and its mean score.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((scores > 0.5).astype(np.uint8), connectivity=4)
    means = np.bincount(labels.ravel(), scores.ravel().astype(np.float64), count) / np.maximum(stats[:, 4], 1)
    return [
        ((int(x), int(y), int(w), int(h)), float(mean))
        for (x, y, w, h, area), mean in zip(stats[1:], means[1:], strict=True)
        if area >= least and math.isfinite(mean)
    ]
