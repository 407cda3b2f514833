"""Damage photographs of any shape, so that restoration can be trained on any folder of clean images.

Own lines where the formula is the field's (motion, Poisson-Gaussian noise, marks), albumentations through its one adapter
where it has the formula. Everything is drawn from the caller's rng, and what was drawn is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from idiff.errors import BadSampleError, unknown
from idiff.transforms.augment import Augment
from idiff.transforms.degradations.common import OPACITY, Degraded, add_noise, identity_psnr, laid_over, log_uniform
from idiff.transforms.degradations.kernels import motion_kernel
from idiff.transforms.degradations.watermarks import draw_cover
from idiff.types import Picture

MIN_SIDE = 16
"""Smaller images are refused."""

SIGMA = (0.8, 3.5)
"""Standard deviations of a Gaussian blur along its two axes, in pixels."""

LENGTH = (5.0, 25.0)
"""Length of a shake in pixels."""

RADIUS = (2, 6)
"""Radius of a defocused point in pixels."""

GAIN = (0.005, 0.06)
"""Poisson-Gaussian noise: variance of a pixel of value 1 that its photons bring (Foi et al., IEEE TIP 2008)."""

READ = (0.005, 0.04)
"""Poisson-Gaussian noise: standard deviation of the read-out, of a range of 1."""

QUALITY = (8, 40)
"""Of a JPEG file that was squeezed."""


def degrade(picture: Picture, task: str, rng: np.random.Generator) -> Degraded:
    """Damage an image as a task expects it.

    Args:
        picture: uint8 (H, W, 3).
        task: `denoise`, `deblur` or `dewatermark`.
        rng: draws the kind of damage and its strength.

    Returns:
        The damaged image, uint8 (H, W, 3); its facts are `kind`, its strength and `identity_psnr` in dB.

    Raises:
        ConfigError: another task.
        BadSampleError: the image is too small, or so flat that the damage does not show.
    """
    if task not in KINDS:
        raise unknown("task to damage images for", task, KINDS)
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise BadSampleError("picture", "size", f"{width}x{height} pixels, expected at least {MIN_SIDE} a side")
    ways = KINDS[task]
    made = list(ways)[int(rng.integers(len(ways)))](picture, rng)
    psnr = identity_psnr(made.picture, picture)
    if psnr >= 100:
        raise BadSampleError("picture", "source", f"is so flat that {made.facts['kind']} changes nothing")
    return Degraded(made.picture, made.facts | {"identity_psnr": round(psnr, 3)})


def gaussian_blur(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Anisotropic Gaussian blur: two standard deviations and a direction."""
    across, along = (log_uniform(SIGMA, rng) for _ in range(2))
    angle, reach = int(rng.integers(0, 90)), 2 * math.ceil(3 * max(across, along)) + 1
    spec = {
        "name": "AdvancedBlur", "blur_limit": (reach, reach), "sigma_x_limit": (across, across),
        "sigma_y_limit": (along, along), "rotate_limit": (angle, angle), "beta_limit": (1 - 1e-6, 1 + 1e-6),
        "noise_limit": (1.0, 1.0), "p": 1.0,
    }  # fmt: skip
    facts = {
        "kind": "gaussian blur",
        "sigma": round(max(across, along), 3),
        "sigma_least": round(min(across, along), 3),
    }
    return Degraded(_augmented(picture, spec, rng), facts | {"angle": angle})


def motion_blur(picture: Picture, rng: np.random.Generator) -> Degraded:
    """A straight shake at an even pace."""
    length, angle = float(rng.uniform(*LENGTH)), float(rng.uniform(0, 180))
    kernel = motion_kernel(length / 12**0.5, angle).astype(np.float64)
    blurred = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    facts = {"kind": "motion blur", "length": round(length, 2), "angle": round(angle, 1)}
    return Degraded(np.asarray(blurred, np.uint8), facts)


def defocus(picture: Picture, rng: np.random.Generator) -> Degraded:
    """A lens out of focus: each point becomes a disc."""
    radius, soft = int(rng.integers(RADIUS[0], RADIUS[1] + 1)), float(rng.uniform(0.1, 0.4))
    spec = {"name": "Defocus", "radius": (radius, radius), "alias_blur": (soft, soft), "p": 1.0}
    return Degraded(_augmented(picture, spec, rng), {"kind": "defocus", "radius": radius})


def gaussian_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """The same noise everywhere, as drawn scenes have it."""
    made = add_noise(picture, rng)
    return Degraded(made.picture, made.facts | {"kind": "gaussian noise"})


def sensor_noise(picture: Picture, rng: np.random.Generator) -> Degraded:
    """Poisson-Gaussian noise: `gain * Poisson(x / gain) + N(0, read^2)` for x in [0, 1]; bright parts have more."""
    gain, read = log_uniform(GAIN, rng), log_uniform(READ, rng)
    light = picture.astype(np.float64) / 255
    noisy = rng.poisson(light / gain) * gain + rng.standard_normal(picture.shape) * read
    facts = {"kind": "sensor noise", "gain": round(gain, 5), "read": round(read, 5)}
    return Degraded(np.clip(np.rint(noisy * 255), 0, 255).astype(np.uint8), facts)


def squeezed(picture: Picture, rng: np.random.Generator) -> Degraded:
    """What a small JPEG file leaves of an image."""
    quality = int(rng.integers(QUALITY[0], QUALITY[1] + 1))
    spec = {"name": "ImageCompression", "compression_type": "jpeg", "quality_range": (quality, quality), "p": 1.0}
    return Degraded(_augmented(picture, spec, rng), {"kind": "jpeg", "quality": quality})


def watermark(picture: Picture, rng: np.random.Generator) -> Degraded:
    """A see-through mark: `(1 - opacity) * picture + opacity * color` where it lies."""
    cover = draw_cover(picture.shape[0], picture.shape[1], rng)
    opacity, light = float(rng.uniform(*OPACITY)), float(rng.random())
    color = np.array(rng.integers(0, 256, 3), np.float64)
    if light < 0.6:
        color = np.full(3, float(rng.integers(210, 256) if light < 0.45 else rng.integers(0, 40)))
    made = laid_over(picture, cover.share, opacity=opacity, color=color)
    return Degraded(made.picture, cover.facts | made.facts)


KINDS: Mapping[str, tuple[Callable[[Picture, np.random.Generator], Degraded], ...]] = {
    "denoise": (gaussian_noise, sensor_noise, squeezed),
    "deblur": (gaussian_blur, motion_blur, defocus),
    "dewatermark": (watermark,),
}
"""Task -> what damages its images, each equally often."""


def _augmented(picture: Picture, spec: Mapping[str, Any], rng: np.random.Generator) -> Picture:
    return Augment([spec])(picture, rng).picture
