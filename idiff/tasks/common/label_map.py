"""The classes of a label map: which may be asked for, which one is asked though it is absent."""

from __future__ import annotations

from collections.abc import Container, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.errors import BadSampleError
from idiff.tasks.common.view import check_picture
from idiff.types import MOST_CLASSES, AnyLabels, Sample, highest_label, label_type, void_of
from idiff.utils.seeds import hash64


def labels_and_classes(sample: Sample) -> tuple[AnyLabels, Sequence[str]]:
    """The label map, of `label_type`, and the class names of a sample that has both, and that fit.

    Raises:
        BadSampleError: the image, the label map or the class names are missing or do not fit one another.
    """
    check_picture(sample)
    classes = sample.meta.get("classes")
    if not isinstance(classes, Sequence) or isinstance(classes, str) or not askable(classes):
        raise BadSampleError(sample.key, "meta.classes", f"got {classes!r}, expected names with one besides background")
    if len(classes) > MOST_CLASSES:
        reason = (
            f"{len(classes):,} classes, expected at most {MOST_CLASSES:,}: merge them by --fold when the set is built"
        )
        raise BadSampleError(sample.key, "meta.classes", reason)
    label, expected = sample.label, sample.image.shape[:2]
    if label is None:
        raise BadSampleError(sample.key, "label", "got none, expected a label map")
    if label.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)} or label.shape != expected:
        reason = f"got {label.dtype} {label.shape}, expected uint8 or uint16 {expected} as the image"
        raise BadSampleError(sample.key, "label", reason)
    if (highest := highest_label(label)) >= len(classes):
        reason = f"got the value {highest}, expected less than {len(classes)}, or {void_of(label)}"
        raise BadSampleError(sample.key, "label", reason)
    wanted = label_type(len(classes))
    if label.dtype == wanted:
        return label, classes
    found: AnyLabels = label.astype(wanted)
    found[label == void_of(label)] = void_of(found)
    return found, classes


def labels_in(labels: AnyLabels) -> set[int]:
    """The values that a label map holds; many times faster than `numpy.unique`."""
    return set(np.flatnonzero(label_counts(labels)).tolist())


def label_counts(labels: AnyLabels) -> NDArray[np.int64]:
    """Pixels of each value from 0 to the largest that the type holds: int64 (256,) or (65536,), exact up to 2^24 of a value."""
    most = int(np.iinfo(labels.dtype).max) + 1
    counts: NDArray[np.int64] = cv2.calcHist([labels], [0], None, [most], [0, most]).ravel().astype(np.int64)
    return counts


def background(classes: Sequence[str]) -> int | None:
    """The class named background, which is never asked for; None where there is none."""
    return next((index for index, name in enumerate(classes) if name.strip().lower() == "background"), None)


def askable(classes: Sequence[str]) -> list[int]:
    """Classes that have a name and are not the background."""
    ground = background(classes)
    return [index for index, name in enumerate(classes) if name.strip() and index != ground]


def absent_class(key: str, present: Container[int], classes: Sequence[str]) -> int | None:
    """The one class that is asked though it is nowhere in the image, chosen by the sample's key.

    Args:
        key: of the sample.
        present: the values of the whole label map, see `labels_in`.
        classes: names by value.

    Returns:
        its index; None where every class is present.
    """
    absent = [index for index in askable(classes) if index not in present]
    return absent[hash64("absent", key) % len(absent)] if absent else None


def own_values(sample: Sample, *indices: int) -> list[int]:
    """What the set's own label maps hold for classes and for the background.

    Args:
        sample: `meta["values"]` lists a value for each class, where the set's own values are not the classes' indices.
        *indices: of the classes.

    Returns:
        the classes' values; and that of the background, where there is one.
    """
    classes = sample.meta["classes"]
    values, ground = sample.meta.get("values") or range(len(classes)), background(classes)
    return [int(values[place]) for place in (*indices, *([] if ground is None else [ground]))]
