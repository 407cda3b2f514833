"""See-through marks: rows of strokes that look like writing, with or without a logo, turned as stamps are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.transforms.degradations.common import draw_logo
from idiff.utils.silhouettes import SHIFT

SHARE = (0.10, 0.40)
"""Share of the image that a mark covers."""

_FINE = 4  # drawn pixels a side for each pixel of the image
_DOTS = [(x, y) for y in (0.0, 0.5, 1.0) for x in (0.0, 0.5, 1.0)]


def draw_mark(side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a mark.

    Args:
        side: of the image in pixels.
        rng: draws wording, size, turn, place and logo.

    Returns:
        float64 (side, side) in [0, 1]: how much of each pixel is covered. The share of pixels at one half and more lies
        within `SHARE`.
    """
    while True:
        wanted = float(rng.uniform(SHARE[0] + 0.02, SHARE[1] - 0.04))
        mask = np.zeros((side * _FINE, side * _FINE), np.uint8)
        if rng.random() < 0.4:
            mask |= draw_logo(mask.shape[0], rng, share=(0.04, 0.12), centre=(0.25, 0.75))
        _write(mask, wanted, rng)
        cover = cv2.resize(mask * np.uint8(_FINE**2), (side, side), interpolation=cv2.INTER_AREA) / _FINE**2
        if SHARE[0] <= float((cover >= 0.5).mean()) <= SHARE[1]:
            return np.asarray(cover, np.float64)


def _write(mask: NDArray[np.uint8], wanted: float, rng: np.random.Generator) -> None:
    """Fill turned rows with letters, from a random one on, until the mask covers the wanted share or the rows are full."""
    side = mask.shape[0]
    height = float(rng.uniform(0.12, 0.24))
    width, gap = height * float(rng.uniform(0.6, 0.9)), height * float(rng.uniform(0.35, 0.6))
    thickness = max(1, round(height * float(rng.uniform(0.16, 0.26)) * side))
    turn = np.deg2rad(float(rng.choice([0.0, 0.0, -30.0, 30.0, 45.0])) + rng.uniform(-6, 6))
    across, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    reach = int(np.ceil(0.75 / (height + gap)))
    for row in sorted(range(-reach, reach + 1), key=abs):
        slip = float(rng.uniform(0, 1))
        for column in range(-10, 11):
            corner = 0.5 + across * (column + slip) * (width + gap / 2) + down * row * (height + gap)
            if corner.min() > -height and corner.max() < 1 + height:
                _letter(mask, corner, across * width, down * height, thickness=thickness, rng=rng)
                if mask.mean() >= wanted:
                    return


def _letter(
    mask: NDArray[np.uint8],
    corner: NDArray[np.float64],
    across: NDArray[np.float64],
    down: NDArray[np.float64],
    *,
    thickness: int,
    rng: np.random.Generator,
) -> None:
    """Draw one letter that no alphabet has: two or three strokes between the nine dots of a box."""
    side = mask.shape[0]
    for _ in range(int(rng.integers(2, 4))):
        chosen = [_DOTS[index] for index in rng.permutation(len(_DOTS))[: int(rng.integers(2, 4))]]
        points = np.array([corner + across * x + down * y for x, y in chosen])
        pixels = np.rint((points * side - 0.5) * (1 << SHIFT)).astype(np.int32)
        cv2.polylines(mask, [pixels], False, 1, thickness=thickness, shift=SHIFT)
