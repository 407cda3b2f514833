"""Common color names and the range of shades that each name covers."""

from __future__ import annotations

import colorsys
from typing import TypeAlias

import numpy as np

RGB: TypeAlias = tuple[int, int, int]
"""A color, 0..255 a channel."""

_Range: TypeAlias = tuple[float, float]

# Hue in degrees, saturation and value in [0, 1]. Shades stop short of the pure palette colors that answers are painted
# in, so that a painted region always differs from the object below it.
SHADES: dict[str, tuple[_Range, _Range, _Range]] = {
    "red": ((-8, 4), (0.68, 0.84), (0.66, 0.86)),
    "orange": ((23, 31), (0.72, 0.86), (0.88, 0.97)),
    "yellow": ((48, 56), (0.60, 0.78), (0.88, 0.97)),
    "green": ((105, 140), (0.50, 0.72), (0.44, 0.68)),
    "cyan": ((176, 190), (0.45, 0.65), (0.76, 0.90)),
    "blue": ((214, 230), (0.58, 0.78), (0.62, 0.86)),
    "purple": ((266, 284), (0.45, 0.65), (0.46, 0.64)),
    "pink": ((328, 345), (0.34, 0.46), (0.92, 0.99)),
    "brown": ((18, 30), (0.50, 0.68), (0.32, 0.44)),
    "white": ((0, 360), (0.00, 0.04), (0.93, 1.00)),
    "gray": ((0, 360), (0.00, 0.06), (0.46, 0.60)),
    "black": ((0, 360), (0.00, 0.15), (0.06, 0.15)),
}

COLORS = tuple(SHADES)
"""The names, in a fixed order."""


def shade(name: str, rng: np.random.Generator) -> RGB:
    """Draw one shade of a named color.

    Args:
        name: one of `COLORS`.
        rng: the source of randomness.
    """
    hue, saturation, value = (rng.uniform(low, high) for low, high in SHADES[name])
    return from_hsv(hue, saturation, value)


def muted(rng: np.random.Generator) -> RGB:
    """Draw a color of low saturation, for backgrounds."""
    return from_hsv(rng.uniform(0, 360), rng.uniform(0.08, 0.42), rng.uniform(0.30, 0.92))


def from_hsv(hue: float, saturation: float, value: float) -> RGB:
    """Turn hue in degrees, saturation and value in [0, 1] into RGB."""
    red, green, blue = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def distance(one: RGB, other: RGB) -> float:
    """Euclidean distance of two colors in RGB, 0..442."""
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


def scaled(color: RGB, factor: float) -> RGB:
    """Darken (factor below 1) or brighten a color, clipped to 0..255."""
    red, green, blue = (min(255, round(channel * factor)) for channel in color)
    return red, green, blue


def rim(color: RGB) -> RGB:
    """The outline that goes with a fill: darker, or lighter where the fill is nearly black."""
    return scaled(color, 0.5) if max(color) > 60 else (105, 105, 112)
