"""What a person should know of a set that was built: why samples are left out, and classes that no label map has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from idiff.data.sources.base import RawSample
from idiff.types import Sample
from idiff.utils.picture_files import decode_map

_NAMED = 5


def commonest(rejected: Iterable[Mapping[str, Any]]) -> str:
    """The most frequent reason of samples that are left out, with an example's name; empty where none is."""
    listed = list(rejected)
    if not listed:
        return ""
    counts = Counter((line["field"], line["reason"]) for line in listed)
    (field, reason), count = counts.most_common(1)[0]
    where = next(line["where"] for line in listed if (line["field"], line["reason"]) == (field, reason))
    often = f"{count:,} times, such as {where}" if count > 1 else str(where)
    return f"{often}: {field}: {reason}"


def classes_in(sample: Sample | RawSample) -> set[int]:
    """The classes of a sample's label map, without void; none where it has no map or is void everywhere.

    Raises:
        BadSampleError: the map is damaged.
    """
    if sample.label is None:
        return set()
    label = sample.label
    array = decode_map(label, where=sample.key, field="label") if isinstance(label, bytes) else label
    return set(np.unique(array).tolist()) - {255 if array.dtype == np.uint8 else 65535}


def class_notes(classes: Sequence[str], seen: Iterable[int]) -> list[str]:
    """Classes of the list that no label map has, and a set that has one class alone.

    Args:
        classes: names by label value.
        seen: label values of the whole set, without void.
    """
    values = set(seen)
    if classes and not values:
        return [
            "all pixels of all label maps are void: nothing can be learned or measured. Check the values of the label maps"
        ]
    absent = [name for value, name in enumerate(classes) if value not in values]
    if not classes or not absent:
        return []
    more = f" and {len(absent) - _NAMED:,} more" if len(absent) > _NAMED else ""
    named = ", ".join(f"'{name}'" for name in absent[:_NAMED])
    told = [f"{'classes' if len(absent) > 1 else 'class'} in no label map: {named}{more}"]
    if len(values) == 1:
        name = classes[min(values)] if min(values) < len(classes) else str(min(values))
        told.append(
            f"one class is left, '{name}': nothing can be learned or measured. Check the list and the label maps"
        )
    return told
