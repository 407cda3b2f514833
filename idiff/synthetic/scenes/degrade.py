"""Damage pictures as cameras and stamps do: noise, blur, see-through marks. Pure functions of picture and rng.

Everything ends in whole-number arithmetic or one rounding, so that a seed gives the same bytes elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.scenes.marks import draw_mark

SIGMA = (15.0, 50.0)
"""Standard deviation of the noise in grey levels of 255."""

BLUR = (1.0, 2.5)
"""Standard deviation of the blur along its direction, in pixels of the picture."""

OPACITY = (0.3, 0.7)
"""How much of a mark hides the picture."""

_ONE = 1 << 14


@dataclass(frozen=True, slots=True)
class Degraded:
    """A damaged picture, uint8 (H, W, 3), and how it was damaged (JSON-able)."""

    picture: NDArray[np.uint8]
    facts: dict[str, Any]


def add_noise(picture: NDArray[np.uint8], rng: np.random.Generator) -> Degraded:
    """Add Gaussian noise to each pixel and channel; small and large `SIGMA` are drawn equally often (log-uniform)."""
    sigma = float(np.exp(rng.uniform(*np.log(SIGMA))))
    noise = np.rint(rng.standard_normal(picture.shape) * sigma)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return Degraded(noisy, {"kind": "noise", "sigma": round(sigma, 3)})


def add_blur(picture: NDArray[np.uint8], rng: np.random.Generator) -> Degraded:
    """Blur by a Gaussian (out of focus) or along a line (shaken); within `BLUR` the stronger is drawn more often."""
    sigma = BLUR[0] + (BLUR[1] - BLUR[0]) * float(np.sqrt(rng.random()))
    shaken = bool(rng.random() < 1 / 3)
    angle = float(rng.uniform(0, 180)) if shaken else 0.0
    kernel = motion_kernel(sigma, angle) if shaken else gaussian_kernel(sigma)
    facts: dict[str, Any] = {"kind": "motion" if shaken else "gaussian", "sigma": round(sigma, 3)}
    return Degraded(filtered(picture, kernel), facts | ({"angle": round(angle, 1)} if shaken else {}))


def add_mark(picture: NDArray[np.uint8], rng: np.random.Generator) -> Degraded:
    """Lay a see-through mark over a square picture: `(1 - opacity) * picture + opacity * colour` where the mark lies."""
    cover = draw_mark(picture.shape[0], rng)
    opacity = float(rng.uniform(*OPACITY))
    light = int(rng.integers(200, 256))
    dark = int(rng.integers(0, 40))
    colours = ((light, light, light), (dark, dark, dark), tuple(int(value) for value in rng.integers(0, 256, 3)))
    colour = np.array(colours[int(rng.choice(3, p=(0.5, 0.2, 0.3)))], np.float64)
    share = cover[..., None] * opacity
    marked = np.rint(picture * (1 - share) + colour * share).astype(np.uint8)
    facts = {"kind": "mark", "opacity": round(opacity, 3), "share": round(float((cover >= 0.5).mean()), 4)}
    return Degraded(marked, facts)


DEGRADATIONS: Mapping[str, Callable[[NDArray[np.uint8], np.random.Generator], Degraded]] = {
    "denoise": add_noise,
    "deblur": add_blur,
    "dewatermark": add_mark,
}
"""Task -> what damages its pictures."""


def gaussian_kernel(sigma: float) -> NDArray[np.int64]:
    """Whole-number weights of a Gaussian out to three standard deviations: int64 (2 r + 1, 2 r + 1)."""
    reach = int(np.ceil(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(np.rint(np.outer(line, line) / line.sum() ** 2 * _ONE), np.int64)


def motion_kernel(sigma: float, angle: float) -> NDArray[np.int64]:
    """Whole-number weights of a straight shake at an even pace: int64 (2 r + 1, 2 r + 1).

    Args:
        sigma: standard deviation along the line; its length is sqrt(12) times that.
        angle: direction in degrees.
    """
    half = sigma * 12**0.5 / 2
    reach = int(np.ceil(half)) + 1
    along = np.linspace(-half, half, 129)
    x, y = (along * part(np.deg2rad(angle)) + reach for part in (np.cos, np.sin))
    column, row = (np.floor(place).astype(int) for place in (x, y))
    weights = np.zeros((2 * reach + 1, 2 * reach + 1))
    for right in (0, 1):
        for down in (0, 1):
            share = (1 - np.abs(x - column - right)) * (1 - np.abs(y - row - down))
            np.add.at(weights, (row + down, column + right), share)
    return np.asarray(np.rint(weights / weights.sum() * _ONE), np.int64)


def filtered(picture: NDArray[np.uint8], kernel: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Weighted means around each pixel, in whole numbers; the border repeats outwards.

    Args:
        picture: uint8 (H, W, 3).
        kernel: int64 (2 r + 1, 2 r + 1) weights of 0 and more.
    """
    reach = kernel.shape[0] // 2
    height, width = picture.shape[:2]
    padded = np.pad(picture.astype(np.int64), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total, weight = np.zeros(picture.shape, np.int64), int(kernel.sum())
    for row, column in np.argwhere(kernel > 0).tolist():
        total += kernel[row, column] * padded[row : row + height, column : column + width]
    return ((total + weight // 2) // weight).astype(np.uint8)


def identity_psnr(damaged: NDArray[np.uint8], clean: NDArray[np.uint8]) -> float:
    """PSNR in dB of a picture that nobody restored, at most 100.

    Args:
        damaged: uint8 (H, W, 3).
        clean: uint8 (H, W, 3).
    """
    error = float(((damaged.astype(np.float64) - clean) ** 2).mean())
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error > 0 else 100.0
