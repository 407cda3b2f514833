"""COCO's three forms of a segmentation (polygons, runs, compressed runs) as one mask.

Source: COCO data format, "object detection" (https://cocodataset.org/#format-data); polygons are drawn as its own API does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from idiff.utils.masks import check_mask, encode_mask, mask_size

_SLACK = 2
"""How many sides of the image a corner may lie outside of it; more is a fault of the file."""


def mask_of(segmentation: Any, *, height: int, width: int) -> dict[str, Any]:
    """One mask, as compressed runs.

    Polygons are united: where two of them overlap there is no hole (adding them up and asking for 1 would leave one).
    Polygons of fewer than three corners have no area and are left out.

    Args:
        segmentation: a list of polygons [x, y, x, y, ...] in pixels; or `{"size": [height, width], "counts": ...}` with
            a list of runs, or with compressed runs.
        height: of the image.
        width: of the image.

    Returns:
        `{"size": [height, width], "counts": text}`, see `idiff.utils.masks`.

    Raises:
        ValueError: it is none of these, does not fit the image, or is empty.
    """
    if isinstance(segmentation, Mapping):
        return _runs(segmentation, height=height, width=width)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str):
        raise ValueError(f"the segmentation is {type(segmentation).__name__}, expected polygons or runs")
    from pycocotools.mask import frPyObjects, merge

    polygons = [corners for polygon in segmentation if len(corners := _corners(polygon, height, width)) >= 6]
    if not polygons:
        raise ValueError("the segmentation has no polygon of three corners or more")
    made = merge(frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": made["counts"].decode("ascii")}


def _corners(polygon: Any, height: int, width: int) -> list[float]:
    """A polygon's numbers, checked: what draws it sets memory aside by how far apart they are."""
    try:
        corners = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        corners = np.empty((0, 0))
    if corners.ndim != 1 or len(corners) % 2 or not np.isfinite(corners).all():
        raise ValueError("a polygon is not a list of finite numbers x, y, x, y, ...")
    low, high = -_SLACK * max(height, width), (1 + _SLACK) * max(height, width)
    if len(corners) and (corners.min() < low or corners.max() > high):
        raise ValueError(f"a polygon reaches from {corners.min():g} to {corners.max():g} in a {width}x{height} image")
    numbers: list[float] = corners.tolist()
    return numbers


def _runs(value: Mapping[str, Any], *, height: int, width: int) -> dict[str, Any]:
    """Runs of 0 and 1 in turn, down the columns, or the same compressed."""
    if mask_size(value) != (height, width):
        raise ValueError(f"the runs are of size {list(value['size'])}, expected {[height, width]} as the image")
    counts = value.get("counts")
    if isinstance(counts, str):
        check_mask(value)
        return {"size": [height, width], "counts": counts}
    if not isinstance(counts, Sequence) or not all(type(run) is int and run >= 0 for run in counts):
        raise ValueError("the counts are neither a list of whole numbers nor compressed text")
    if sum(counts) != height * width:
        raise ValueError(f"the runs fill {sum(counts)} pixels, expected {height} x {width}")
    filled = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return encode_mask(filled.reshape(width, height).T)
