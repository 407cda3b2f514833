"""Put an object of one image into the hole of another."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SCALE = (0.4, 2.5)
"""How much an object may be shrunk or enlarged to fit."""

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def fits(hole: Mask, mask: Mask) -> float | None:
    """The factor by which an object's bounding box fits into a hole's; None where that is beyond `SCALE`."""
    height, width = _size(hole)
    tall, wide = _size(mask)
    scale = min(height / tall, width / wide)
    return scale if SCALE[0] <= scale <= SCALE[1] else None


def paste(picture: Picture, hole: Mask, other: Picture, mask: Mask) -> tuple[Picture, Mask]:
    """Lay an object over an image: in the middle of the hole, standing on its lower edge, with soft edges.

    Args:
        picture: uint8 (H, W, 3), the hole already filled.
        hole: bool (H, W).
        other: uint8 (h, w, 3), the image that shows the object.
        mask: bool (h, w), the object.

    Returns:
        The new image, and the pixels that the object covers.
    """
    scale = fits(hole, mask)
    assert scale is not None, "ask fits() first"
    box = _box(mask)
    shown, alpha = other[box], mask[box].astype(np.float32)
    room = _box(hole)
    size = (max(1, min(round(alpha.shape[1] * scale), room[1].stop - room[1].start)),
            max(1, min(round(alpha.shape[0] * scale), room[0].stop - room[0].start)))  # fmt: skip
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = np.asarray(cv2.resize(shown, size, interpolation=method), np.uint8)
    alpha = np.asarray(cv2.resize(alpha, size, interpolation=method), np.float32)
    left = (room[1].start + room[1].stop - size[0]) // 2
    here = (slice(room[0].stop - size[1], room[0].stop), slice(left, left + size[0]))
    result, covered = picture.copy(), np.zeros(hole.shape, bool)
    mixed = shown * alpha[..., None] + picture[here] * (1 - alpha[..., None])
    result[here] = np.rint(mixed).astype(np.uint8)
    covered[here] = alpha > 0
    return result, covered


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _size(mask: Mask) -> tuple[int, int]:
    rows, columns = _box(mask)
    return rows.stop - rows.start, columns.stop - columns.start
