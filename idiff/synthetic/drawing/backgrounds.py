"""Families of backgrounds: two muted colors mixed by a pattern, with uneven brightness.

Patterns use exactly rounded arithmetic and whole-number resizing alone, no functions whose last bit hangs on the
processor, so that a seed gives the same bytes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.description import Background
from idiff.synthetic.drawing.palette import distance, muted
from idiff.utils.seeds import numpy_rng

Plane: TypeAlias = NDArray[np.float32]
"""float32 (S, S): coordinates in repeats of the pattern, or the share of the second color in [0, 1]."""


def _triangle_wave(x: Plane) -> Plane:
    """0 at whole numbers, 1 half way between."""
    fraction = x - np.floor(x)
    wave: Plane = np.float32(1) - np.abs(fraction * np.float32(2) - np.float32(1))
    return wave


def _unit(x: Plane) -> Plane:
    """Clip to [0, 1]."""
    return np.asarray(np.clip(x, 0, 1), dtype=np.float32)


def _flat(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return np.zeros_like(u)


def _gradient(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    share: Plane = (u - u.min()) / (u.max() - u.min())
    return share


def _stripes(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return _unit(_triangle_wave(u) * np.float32(6) - np.float32(2.5))


def _waves(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return _triangle_wave(u + np.float32(0.6) * _triangle_wave(v * np.float32(0.5)))


def _checker(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return np.asarray((np.floor(u) + np.floor(v)) % 2, dtype=np.float32)


def _dots(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    du, dv = u - np.floor(u) - np.float32(0.5), v - np.floor(v) - np.float32(0.5)
    return (du * du + dv * dv < np.float32(0.05)).astype(np.float32)


def _bricks(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    row = np.floor(v * np.float32(1.6))
    along = u * np.float32(0.7) + row * np.float32(0.5)
    across = v * np.float32(1.6) - row
    mortar = np.logical_or(along - np.floor(along) < np.float32(0.10), across < np.float32(0.18))
    return np.asarray(mortar, dtype=np.float32)


def _clouds(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    side = u.shape[0]
    coarse, fine = _patches(rng, side, cells=4), _patches(rng, side, cells=11)
    share: Plane = coarse * np.float32(0.65) + fine * np.float32(0.35)
    return share


def _blobs(u: Plane, v: Plane, rng: np.random.Generator) -> Plane:
    return _unit((_patches(rng, u.shape[0], cells=7) - np.float32(0.5)) * np.float32(9) + np.float32(0.5))


FAMILIES: dict[str, Callable[[Plane, Plane, np.random.Generator], Plane]] = {
    "flat": _flat,
    "gradient": _gradient,
    "stripes": _stripes,
    "waves": _waves,
    "checker": _checker,
    "dots": _dots,
    "bricks": _bricks,
    "clouds": _clouds,
    "blobs": _blobs,
}
"""Name -> pattern: (u, v, rng) -> share of the second color, float32 (S, S) in [0, 1]."""


def _patches(rng: np.random.Generator, side: int, *, cells: int) -> Plane:
    """Smooth noise in [0, 1] with about `cells` bumps a side."""
    coarse = rng.integers(0, 256, size=(cells, cells), dtype=np.uint8)
    smooth = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, dtype=np.float32) / np.float32(255)


def draw_background(rng: np.random.Generator) -> Background:
    """Describe a random background: any family, two muted colors that differ visibly but less than objects do."""
    family = list(FAMILIES)[rng.integers(len(FAMILIES))]
    first = second = muted(rng)
    while not 28 <= distance(first, second) <= 95:
        second = muted(rng)
    return Background(
        family=family,
        colors=(first, second),
        period=float(rng.uniform(0.09, 0.24)),
        angle=float(rng.uniform(0, 180)),
        seed=int(rng.integers(2**31)),
        noise=float(rng.uniform(2, 7)),
    )


def paint_background(background: Background, side: int) -> NDArray[np.uint8]:
    """Paint a background without its camera noise.

    Returns:
        uint8 (side, side, 3).
    """
    rng = numpy_rng(background.seed, "texture")
    axis = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side * background.period)
    turn = np.deg2rad(background.angle)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    x, y = axis[None, :], axis[:, None]
    share = FAMILIES[background.family](x * cos + y * sin, y * cos - x * sin, rng)
    mottle = (_patches(rng, side, cells=6) - np.float32(0.5)) * np.float32(22)
    first, second = (np.array(color, dtype=np.float32) for color in background.colors)
    planes = [first[c] + share * (second[c] - first[c]) + mottle for c in range(3)]
    return cv2.merge([np.clip(plane, 0, 255).astype(np.uint8) for plane in planes])  # type: ignore[no-any-return]


def camera_noise(background: Background, side: int) -> NDArray[np.float64]:
    """The noise that lies over the whole finished image: float64 (side, side, 3), in gray levels."""
    return numpy_rng(background.seed, "noise").standard_normal((side, side, 3)) * background.noise
