"""Masks as COCO's compressed run-length encoding, read strictly: nothing in a file can make a wrong or a huge mask.

`{"size": [height, width], "counts": text}`. The counts are runs of 0 and 1 in turn, beginning with 0, down the columns;
each is written in characters of 5 bits, from the third run on as the difference to the run before the last. Source: the
MS COCO API (`maskApi.c`), whose own reader takes an empty text for a mask and returns memory that was never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 65_535
"""Longest side of a mask in pixels."""

_MAX_CHARACTERS = 7
_FIRST, _LAST = 48, 48 + 63


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Write a mask.

    Args:
        mask: bool (H, W).

    Returns:
        JSON-able `{"size": [H, W], "counts": text}`.
    """
    from pycocotools.mask import encode

    made = encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in made["size"]], "counts": made["counts"].decode("ascii")}


def mask_entry(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """What an entry of COCO's results says of a mask bool (H, W) that is not empty: `segmentation`, `bbox`, `area`, in pixels."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    return {"segmentation": encode_mask(mask), "bbox": [int(value) for value in box], "area": int(mask.sum())}


def decode_mask(value: Any) -> NDArray[np.bool_]:
    """Read a mask: bool (H, W).

    Raises:
        ValueError: it is not a mask, see `check_mask`.
    """
    height, width = mask_size(value)
    runs = check_mask(value)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def mask_size(value: Any) -> tuple[int, int]:
    """The (height, width) that a mask claims to have; look at it before decoding.

    Raises:
        ValueError: says what was got instead of two whole numbers from 1 to `MAX_SIDE`.
    """
    size = value.get("size") if isinstance(value, Mapping) else None
    if (
        not isinstance(size, Sequence)
        or len(size) != 2
        or not all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)
    ):
        raise ValueError(f"the size is {size!r}, expected [height, width] of 1 to {MAX_SIDE} pixels")
    return int(size[0]), int(size[1])


def check_mask(value: Any) -> NDArray[np.int64]:
    """Check a mask without drawing it.

    Returns:
        int64 (N,): the runs.

    Raises:
        ValueError: no mapping with `size` and `counts`, a character or a run that cannot be, or runs that do not fill the
            size.
    """
    height, width = mask_size(value)
    text = value.get("counts")
    if not isinstance(text, str) or not text.isascii() or not text:
        raise ValueError(f"the counts are {type(text).__name__}, expected COCO's compressed text of one run or more")
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64)
    if int(codes.min()) < _FIRST or int(codes.max()) > _LAST:
        raise ValueError("the counts hold a character that COCO's compressed text does not use")
    codes -= _FIRST
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if not len(ends) or ends[-1] != len(codes) - 1 or int((ends - starts).max()) >= _MAX_CHARACTERS:
        raise ValueError("the counts end within a run, or hold one that is too long")
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    steps = np.add.reduceat((codes & 31) << (5 * place), starts)
    negative = codes[ends] & 16 != 0
    steps[negative] -= np.int64(1) << (5 * (ends - starts + 1)[negative])
    runs = steps.copy()
    runs[1::2] = np.cumsum(steps[1::2])
    runs[2::2] = np.cumsum(steps[2::2])
    if int(runs.min()) < 0 or int(runs.max()) > height * width or int(runs.sum()) != height * width:
        raise ValueError(f"the runs do not fill {height} x {width} pixels")
    return runs
