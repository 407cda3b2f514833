"""Blur kernels, and filtering with them in whole-number arithmetic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ONE = 1 << 14
"""What the weights of a kernel sum up to, but for rounding."""


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
