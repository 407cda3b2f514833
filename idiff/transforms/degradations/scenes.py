"""Damage square drawn scenes: noise, blur, see-through marks.

Everything ends in whole-number arithmetic or one rounding, so that a seed gives the same bytes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from idiff.transforms.degradations.common import OPACITY, Degraded, add_noise, laid_over
from idiff.transforms.degradations.kernels import filtered, gaussian_kernel, motion_kernel
from idiff.transforms.degradations.strokes import draw_mark
from idiff.types import Picture

BLUR = (1.0, 2.5)
"""Standard deviation of the blur along its direction, in pixels of the image."""


def add_blur(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Blur by a Gaussian (out of focus) or along a line (shaken); within `BLUR` the stronger is drawn more often."""
    sigma = BLUR[0] + (BLUR[1] - BLUR[0]) * float(np.sqrt(rng.random()))
    shaken = bool(rng.random() < 1 / 3)
    angle = float(rng.uniform(0, 180)) if shaken else 0.0
    kernel = motion_kernel(sigma, angle) if shaken else gaussian_kernel(sigma)
    facts: dict[str, Any] = {"kind": "motion" if shaken else "gaussian", "sigma": round(sigma, 3)}
    return Degraded(filtered(picture, kernel), facts | ({"angle": round(angle, 1)} if shaken else {}))


def add_mark(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Lay a see-through mark over a square image: light, dark or of any color."""
    cover = draw_mark(picture.shape[0], rng)
    opacity = float(rng.uniform(*OPACITY))
    light = int(rng.integers(200, 256))
    dark = int(rng.integers(0, 40))
    colors = ([light] * 3, [dark] * 3, rng.integers(0, 256, 3))
    color = np.array(colors[int(rng.choice(3, p=(0.5, 0.2, 0.3)))], np.float64)
    made = laid_over(picture, cover, opacity=opacity, color=color)
    return Degraded(made.picture, {"kind": "mark"} | made.facts)


DEGRADATIONS: Mapping[str, Callable[[Picture, np.random.Generator], Degraded]] = {
    "denoise": add_noise,
    "deblur": add_blur,
    "dewatermark": add_mark,
}
"""Task -> what damages its images."""
