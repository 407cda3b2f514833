"""Which objects of a set of shards can be taken out of their image, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.data.shards.reader import ShardSet
from idiff.data.shards.schema import decode_annotation
from idiff.errors import BadSampleError
from idiff.utils.masks import decode_mask, mask_size
from idiff.utils.picture_files import decode_label, picture_size
from idiff.utils.strings import name_words

VOID = 255
_BACKGROUND = "background"
_CRUMBS = 0.1  # share of an object that may lie apart
_SEVERAL = frozenset({"all", "both", "each", "every", "any", "no", "two", "three", "four", "five"})
"""Phrases that begin so do not name one object."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that words single out in its image.

    Attributes:
        place: position of its sample in the set.
        names: what it is called there, without an article: phrases, or its category.
        category: its class in words; empty where the set does not say.
        share: of the image that it covers, in (0, 1].
        whole: it does not touch the image's border.
        solid: it lies in one piece, but for crumbs.
        instance: which of the sample's instances it is; None where it is a class of the label map.
        value: of the label map.
    """

    place: int
    names: tuple[str, ...]
    category: str
    share: float
    whole: bool
    solid: bool
    instance: int | None = None
    value: int = VOID


def things_of(shards: ShardSet, place: int) -> list[Thing]:
    """The objects of one sample that words single out.

    Where instances have masks: what a phrase names, if that is one of them, or without phrases each instance that is the
    only one of its category. Else, where there is a label map: each class but the background, as one object.

    Raises:
        BadSampleError: the sample cannot be read.
    """
    where = shards.where(place)
    parts = {name.partition(".")[0]: data for name, data in shards.read_members(place).items()}
    facts = decode_annotation(parts["annotation"], where=where, meta=shards.meta)
    instances = facts.get("instances", [])
    if instances and all("mask" in instance for instance in instances):
        size = picture_size(parts["source"], where=where)
        return list(_named(place, facts, size=size, where=where))
    if "label" in parts and shards.meta.get("classes"):
        return list(_classes(place, decode_label(parts["label"], where=where), list(shards.meta["classes"])))
    return []


def mask_of(thing: Thing, annotation: Mapping[str, Any], label: NDArray[np.unsignedinteger] | None) -> Mask:
    """The object's pixels: bool (H, W).

    Args:
        thing: from `things_of`.
        annotation: of its sample.
        label: of its sample.
    """
    if thing.instance is not None:
        return decode_mask(annotation["instances"][thing.instance]["mask"])
    assert label is not None
    return np.asarray(label == thing.value)


def _named(place: int, facts: Mapping[str, Any], *, size: tuple[int, int], where: str) -> Iterator[Thing]:
    instances: list[Mapping[str, Any]] = facts["instances"]
    found: dict[tuple[int, ...], list[str]] = {}
    for phrase in facts.get("phrases", []):
        targets, name = tuple(phrase.get("instances", [])), _without_article(phrase["text"])
        if len(targets) == 1 and name and name.split()[0].lower() not in _SEVERAL:
            found.setdefault(targets, []).append(name)
    if not facts.get("phrases"):
        count = Counter(instance.get("category", "") for instance in instances)
        for index, instance in enumerate(instances):
            category = name_words(instance.get("category", ""))
            if category and count[instance["category"]] == 1:
                found[(index,)] = [category]
    for targets, names in found.items():
        instance = instances[targets[0]]
        if mask_size(instance["mask"]) != size:
            raise BadSampleError(where, "annotation.instances", "a mask has another size than the image")
        mask = decode_mask(instance["mask"])
        if mask.any():
            category = name_words(instance.get("category", ""))
            yield Thing(place, tuple(dict.fromkeys(names)), category, *_extent(mask), instance=targets[0])


def _classes(place: int, label: NDArray[np.uint8], classes: list[str]) -> Iterator[Thing]:
    for value in np.unique(label).tolist():
        if value >= len(classes):
            continue
        name = name_words(classes[value])
        if name and name != _BACKGROUND:
            mask = label == value
            yield Thing(place, (name,), name, *_extent(mask), value=value)


def _extent(mask: Mask) -> tuple[float, bool, bool]:
    """The share of the image that a mask covers, whether it keeps clear of the border, and whether it is in one piece."""
    border = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    largest = int(facts[1:, cv2.CC_STAT_AREA].max())
    return float(mask.mean()), not bool(border), largest >= (1 - _CRUMBS) * int(mask.sum())


def _without_article(text: str) -> str:
    words = " ".join(text.split()).rstrip(".")
    first, _, rest = words.partition(" ")
    return rest if first.lower() in {"the", "a", "an"} and rest else words
