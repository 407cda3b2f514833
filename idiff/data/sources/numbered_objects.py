"""Objects with masks as a sample has them: the list of instances, and the map of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.types import VOID, AnyLabels
from idiff.utils.masks import decode_mask, encode_mask

IDS = "instance_ids"
"""Name of the map."""


def instance_ids(instances: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> AnyLabels:
    """Which instance each pixel shows: 1 + its place in the list, 0 for none; later ones lie in front.

    Args:
        instances: with `mask`.
        size: (height, width) of the image.

    Returns:
        uint8 (H, W), or uint16 where there are more than 255 instances.
    """
    numbers = np.zeros(size, np.uint8 if len(instances) <= VOID else np.uint16)
    for place, instance in enumerate(instances, start=1):
        numbers[decode_mask(instance["mask"])] = place
    return numbers


def instance_of(mask: NDArray[np.bool_], category: str, **facts: Any) -> dict[str, Any]:
    """An instance that is drawn in a map of numbers: its mask, and the box and area that the mask has.

    Args:
        mask: bool (H, W), not empty.
        category: its class.
        facts: further fields.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    box = [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]
    return {"category": category, "mask": encode_mask(mask), "box": box, "area": int(mask.sum())} | facts
