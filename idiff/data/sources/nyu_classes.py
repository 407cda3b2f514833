"""NYUv2's labels: 894 in the labeled file, 40 of Gupta et al. (CVPR 2013), 13 of Couprie et al. (ICLR 2013)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idiff.data.sources.hdf5_mat import texts_of
from idiff.data.sources.mat_files import load_mat
from idiff.errors import DataError, missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES_40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter", "blinds",
    "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books", "refrigerator",
    "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand", "toilet", "sink", "lamp",
    "bathtub", "bag", "other structure", "other furniture", "other prop",
)  # fmt: skip

CLASSES_13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects", "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip

TO_40, TO_13 = "classMapping40.mat", "class13Mapping.mat"
_WHERE = "It is in https://github.com/ankurhanda/nyuv2-meta-data; put it beside nyu_depth_v2_labeled.mat."


def label_table(file: Path, labels: str) -> tuple[list[str], NDArray[Any]]:
    """The names of the classes, and for each label of the labeled file, 0 to 894, its class from 0, or void.

    Args:
        file: the labeled file; the mappings lie beside it.
        labels: `894`, `40` or `13`.

    Returns:
        names, and uint8 with 255 as void, or of 894 classes uint16 with 65535 as void.

    Raises:
        DataError: a mapping is missing, or of another form.
    """
    names = texts_of(file, "names")
    if labels == "894":
        if len(set(names)) != len(names) or not names:
            raise DataError(f"{file}: 'names' has {len(names):,} names, expected a name of its own for each label.")
        return names, np.r_[np.uint16(65535), np.arange(len(names), dtype=np.uint16)]
    table = _mapping(file.with_name(TO_40), len(names), most=40)
    if labels == "40":
        return list(CLASSES_40), table
    coarse = _mapping(file.with_name(TO_13), 40, most=13)
    shifted = np.where(table == 255, 0, table.astype(np.int64) + 1)
    return list(CLASSES_13), coarse[shifted]


def _mapping(file: Path, count: int, *, most: int) -> NDArray[np.uint8]:
    """A class from 0 for each of the labels 0 to `count`; void is 255.

    Raises:
        DataError: missing, or no row of `count` numbers from 0 to `most`.
    """
    if not file.is_file():
        raise missing(file, what=f"the {most} class of each label", remedy=_WHERE)
    found = [value for value in _numbers(load_mat(file)) if value.size == count]
    if not found or found[0].min() < 0 or found[0].max() > most:
        raise DataError(f"{file} holds no row of {count:,} numbers from 0 to {most}. {_WHERE}")
    row = np.r_[0, found[0].ravel().astype(np.int64)]
    return np.where(row == 0, 255, row - 1).astype(np.uint8)


def _numbers(value: Any) -> list[NDArray[Any]]:
    """Arrays of numbers in variables, and in the fields of structures."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "uif":
        return [value]
    held = (
        value if isinstance(value, dict) else {name: getattr(value, name) for name in getattr(value, "_fieldnames", [])}
    )
    return [each for one in held.values() for each in _numbers(one)]
