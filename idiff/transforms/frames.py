"""Which part of an image the model sees: the whole image, a random crop of it, or the square around one person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from idiff.errors import ConfigError
from idiff.transforms.geometry import Matrix, similarity

FrameName = Literal["letterbox", "crop", "native64"]
"""How evaluation sees an image that is not square, and training with it: whole, with padding around it; the square in its middle, a
random one in training; or at multiples of 64 pixels as the released InstructDiffusion does, and a random square in training."""

NATIVE = 64
"""Pixels of which the sides of a native size are multiples."""

_LOWER = frozenset({"hip", "knee", "ankle", "pelvis"})
_HALF_BODY_PADDING = 1.5
_HALF_BODY_JOINTS = 8


@dataclass(frozen=True, slots=True)
class PersonDraw:
    """How training views of one person vary. The defaults are those of top-down pose training on COCO.

    Source: HRNet and its code (Sun et al., CVPR 2019), which InstructDiffusion follows.

    Attributes:
        scale_sigma: the view's side is multiplied by N(1, scale_sigma), clipped to one sigma; in [0, 1), 0 is not a change.
        rotation_sigma: degrees; a turned view is turned by N(0, rotation_sigma), clipped to two sigma.
        rotation_share: how often a view is turned.
        half_body_share: how often a view shows the upper or the lower half alone, where more than 8 joints are labelled.
        flip: how often a view is mirrored.

    Raises:
        ConfigError: a value out of its range.
    """

    scale_sigma: float = 0.35
    rotation_sigma: float = 45.0
    rotation_share: float = 0.6
    half_body_share: float = 0.3
    flip: float = 0.5

    def __post_init__(self) -> None:
        for name in ("rotation_share", "half_body_share", "flip"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1].")
        if not 0.0 <= self.scale_sigma < 1.0:
            raise ConfigError(f"scale_sigma={self.scale_sigma} must lie in [0, 1); 0.35 is usual, 0 is not a change.")
        if not 0.0 <= self.rotation_sigma <= 90.0:
            raise ConfigError(
                f"rotation_sigma={self.rotation_sigma} must lie in [0, 90] degrees; 45 is usual, 0 is none."
            )


def frame_whole(original: tuple[int, int], size: int, *, mirror: bool = False) -> Matrix:
    """Fit the whole image of (height, width) into the square and centre it; the rest is padding."""
    height, width = original
    return similarity(((width - 1) / 2, (height - 1) / 2), max(height, width), size, mirror=mirror)


def frame_middle(original: tuple[int, int], size: int) -> Matrix:
    """The square in the middle of an image of (height, width), as wide as its shorter side."""
    height, width = original
    return similarity(((width - 1) / 2, (height - 1) / 2), min(height, width), size)


def native_size(original: tuple[int, int], size: int) -> tuple[int, int]:
    """(height, width), multiples of 64, at which the released InstructDiffusion paints an image of (height, width).

    The longer side is about `size`; the shorter one is rounded up.
    """
    short, long = sorted(original)
    factor = size / long
    factor = math.ceil(short * factor / NATIVE) * NATIVE / short
    height, width = (max(NATIVE, int(side * factor // NATIVE) * NATIVE) for side in original)
    return height, width


def frame_native(original: tuple[int, int], size: int) -> tuple[Matrix, tuple[int, int]]:
    """Fit an image of (height, width) to `native_size`: the middle of it, in the shape of that size, as PIL's `ImageOps.fit`.

    Args:
        original: (height, width).
        size: the longer side.

    Returns:
        the matrix, and the (height, width) of the model's image.
    """
    height, width = native_size(original, size)
    scale = max(height / original[0], width / original[1])
    left, top = (original[1] - width / scale) / 2, (original[0] - height / scale) / 2
    return np.array([[scale, 0.0, scale * (0.5 - left) - 0.5], [0.0, scale, scale * (0.5 - top) - 0.5]]), (
        height,
        width,
    )


def frame_crop(
    original: tuple[int, int], size: int, rng: np.random.Generator, *, mirror: bool = False, zoom: bool = True
) -> Matrix:
    """Zoom by chance between the whole image and a square crop as wide as its shorter side, at a random place.

    Extends InstructDiffusion's random square crop along the long side: the whole image is drawn, too.

    Args:
        original: (height, width).
        size: side of the model's image.
        rng: draws the zoom (log-uniform) and the place.
        mirror: swap left and right.
        zoom: False: always the crop as wide as the shorter side, as InstructDiffusion has it.
    """
    height, width = original
    short, long = sorted((height, width))
    side = math.exp(rng.uniform(math.log(short), math.log(long))) if zoom and long > short else float(short)
    place = rng.random()

    def centre(length: int) -> float:
        room = max(0.0, length - side)
        begin = place * room
        return (begin if zoom else round(begin)) + (side - 1) / 2 if room else (length - 1) / 2

    return similarity((centre(width), centre(height)), side, size, mirror=mirror)


def frame_keeping(region: NDArray[np.bool_], size: int, rng: np.random.Generator) -> Matrix:
    """As `frame_crop`, but a region is never cut: the crop is as wide as it takes, and lies where all of it is inside.

    Args:
        region: bool (H, W), of the image's size, with at least one pixel.
        size: side of the model's image.
        rng: draws the zoom (log-uniform, from the least that holds region and shorter side) and the place; nothing is
            drawn where only the whole image will do, so for square images.
    """
    height, width = region.shape
    along = np.flatnonzero(region.any(axis=0 if width > height else 1))
    first, end, long = int(along[0]), int(along[-1]) + 1, max(height, width)
    least = max(height if width > height else width, end - first)
    if least >= long:
        return frame_whole((height, width), size)
    side = math.exp(rng.uniform(math.log(least), math.log(long)))
    start = rng.uniform(max(0.0, end - side), min(float(first), long - side))
    middle, other = start + side / 2 - 0.5, (min(height, width) - 1) / 2
    return similarity((middle, other) if width > height else (other, middle), side, size)


def frame_box(box: Sequence[float], size: int, *, padding: float = 1.25, mirror: bool = False) -> Matrix:
    """The square around a box, made larger by `padding`.

    Args:
        box: x, y, width, height in pixels; at least one of width and height is larger than 0.
        size: side of the model's image.
        padding: how much larger than the box's longer side (1.25: COCO top-down pose estimation).
        mirror: swap left and right.
    """
    centre, side = _square(box)
    return similarity(centre, side * padding, size, mirror=mirror)


def frame_person(
    box: Sequence[float],
    joints: NDArray[np.float64],
    size: int,
    rng: np.random.Generator,
    *,
    names: Sequence[str],
    padding: float = 1.25,
    draw: PersonDraw = PersonDraw(),
) -> Matrix:
    """Draw a training view of one person: scale, rotation, mirror, now and then only half of the body.

    Args:
        box: x, y, width, height in pixels.
        joints: (K, 3) x, y, visibility.
        size: side of the model's image.
        rng: draws the view.
        names: K joint names; hips, knees, ankles and pelvis are the lower half.
        padding: how much larger than the box's longer side.
        draw: how much and how often; see `PersonDraw`.
    """
    centre, side = _square(box)
    side *= padding
    labelled = joints[:, 2] > 0
    half = rng.random() < draw.half_body_share
    upper_first = rng.random() < 0.5
    if half and labelled.sum() > _HALF_BODY_JOINTS:
        lower = np.array([name.split()[-1] in _LOWER if name else False for name in names])
        halves = [labelled & ~lower, labelled & lower]
        chosen = next((part for part in (halves if upper_first else halves[::-1]) if part.sum() > 2), None)
        if chosen is not None and lower.any():
            points = joints[chosen, :2]
            reach = float((points.max(axis=0) - points.min(axis=0)).max())
            if reach > 0:
                centre = (float(points[:, 0].mean()), float(points[:, 1].mean()))
                side = reach * _HALF_BODY_PADDING
    side *= float(np.clip(rng.normal(1.0, draw.scale_sigma), 1 - draw.scale_sigma, 1 + draw.scale_sigma))
    turn = float(np.clip(rng.normal(0.0, draw.rotation_sigma), -2 * draw.rotation_sigma, 2 * draw.rotation_sigma))
    turned, mirror = rng.random() < draw.rotation_share, rng.random() < draw.flip
    return similarity(centre, side, size, degrees=turn if turned else 0.0, mirror=mirror)


def _square(box: Sequence[float]) -> tuple[tuple[float, float], float]:
    """Centre and side of the square that a box fits in; a box edge lies half a pixel before a pixel centre."""
    x, y, width, height = (float(value) for value in box)
    return (x + width / 2 - 0.5, y + height / 2 - 0.5), max(width, height)
