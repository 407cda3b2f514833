"""What all degradations share: their result, noise, see-through marks, and how far an image is from the clean one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.types import Picture
from idiff.utils.silhouettes import KINDS, SHAPES, filled, placed

NOISE = (15.0, 50.0)
"""Standard deviations of Gaussian noise in gray levels of 255."""

OPACITY = (0.3, 0.7)
"""How much of a mark hides the image, as in CLWD (Liu et al., WACV 2021)."""


@dataclass(frozen=True, slots=True)
class Degraded:
    """A damaged image, uint8 (H, W, 3), and how it was damaged (JSON-able)."""

    picture: Picture
    facts: dict[str, Any]


def log_uniform(span: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number of a range; small and large ones come equally often."""
    return float(np.exp(rng.uniform(*np.log(span))))


def add_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Add Gaussian noise to each pixel and channel; its strength is log-uniform in `NOISE`."""
    sigma = log_uniform(NOISE, rng)
    noise = np.rint(rng.standard_normal(picture.shape) * sigma)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return Degraded(noisy, {"kind": "noise", "sigma": round(sigma, 3)})


def laid_over(picture: Picture, cover: NDArray[np.float64], *, opacity: float, color: NDArray[np.float64]) -> Degraded:
    """Lay a see-through mark over an image: `(1 - opacity) * picture + opacity * color` where the mark lies.

    Args:
        picture: uint8 (H, W, 3).
        cover: (H, W) in [0, 1], how much of each pixel the mark covers.
        opacity: in [0, 1].
        color: (3,) in 0..255.

    Returns:
        the marked image; its facts are `opacity` and `share`, the share of pixels of which at least half is covered.
    """
    weight = cover[..., None] * opacity
    marked = np.rint(picture * (1 - weight) + color * weight).astype(np.uint8)
    return Degraded(marked, {"opacity": round(opacity, 3), "share": round(float((cover >= 0.5).mean()), 4)})


def draw_logo(
    side: int,
    rng: np.random.Generator,
    *,
    share: tuple[float, float],
    centre: tuple[float, float] | None = None,
    mirrored: bool = False,
) -> NDArray[np.uint8]:
    """Draw the silhouette of a random kind of object, a little turned: uint8 (side, side) of 0 and 1.

    Args:
        side: in pixels.
        rng: draws kind, place, area and turn.
        share: range of its area as a share of the grid.
        centre: range of both coordinates of its centre as shares of the side; None: the middle.
        mirrored: mirror every second one.
    """
    kind = KINDS[int(rng.integers(len(KINDS)))]
    x, y = (0.5, 0.5) if centre is None else (float(rng.uniform(*centre)) for _ in range(2))
    area, angle = float(rng.uniform(*share)), float(rng.uniform(-20, 20))
    flip = mirrored and bool(rng.random() < 0.5)
    return filled(placed(SHAPES[kind].contours, centre=(x, y), share=area, angle=angle, mirrored=flip), side)


def identity_psnr(damaged: Picture, clean: Picture) -> float:
    """PSNR in dB of an image that nobody restored, at most 100.

    Args:
        damaged: uint8 (H, W, 3).
        clean: uint8 (H, W, 3).
    """
    error = float(((damaged.astype(np.float64) - clean) ** 2).mean())
    return min(100.0, 10 * float(np.log10(255**2 / error))) if error > 0 else 100.0
