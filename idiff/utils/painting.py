"""Paint answers into images: a color over a region, filled discs on joints. Everything else stays as it is."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import ConfigError, unknown

Rgb = tuple[int, int, int]
"""Red, green, blue, each 0 to 255."""

_SATURATED: dict[str, Rgb] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
}

PaletteName = Literal["saturated", "paper", "official-masks", "official-joints"]

_ALL: dict[str, Rgb] = {
    **_SATURATED,
    "purple": (128, 0, 128),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
}
_MASKS = ("red", "purple", "blue", "green", "yellow", "white", "black", "gray")
_JOINTS = ("red", "green", "blue", "yellow", "cyan", "magenta", "gray", "white", "black")

PALETTES: Mapping[str, Mapping[str, Rgb]] = {
    "saturated": _SATURATED,
    "paper": _ALL,
    "official-masks": {name: _ALL[name] for name in _MASKS} | {"green": (0, 128, 0)},
    "official-joints": {name: _ALL[name] for name in _JOINTS},
}
"""Color names and values. `saturated`: six corners of the color cube, for masks and joints alike. `paper`: all
colors that InstructDiffusion (section 3.1) paints masks and joints with, with one green where it has two. `official-masks`
and `official-joints`: the released model's own two lists, whose greens differ; it can only be asked in these."""


def palette(name: str) -> Mapping[str, Rgb]:
    """Look a palette up.

    Raises:
        ConfigError: no palette has this name.
    """
    if name not in PALETTES:
        raise unknown("palette", name, PALETTES)
    return PALETTES[name]


def rgb_values(rgbs: Sequence[Sequence[int]]) -> Tensor:
    """Colors (K, 3) of 0..255 as float32 (K, 3) in [-1, 1], the range of the model's images."""
    return torch.as_tensor(np.asarray(rgbs, dtype=np.float32).reshape(-1, 3)) / 127.5 - 1.0


def check_transparency(transparency: float) -> float:
    """Return the share of the image that shows through paint.

    Raises:
        ConfigError: it does not lie in (0, 1].
    """
    if not 0.0 <= transparency < 1.0:
        raise ConfigError(
            f"{transparency=} cannot be painted: expected the share of the image that shows through, from 0 (opaque) to below 1."
        )
    return float(transparency)


def blend(image: Tensor, mask: Tensor, rgb: Sequence[int], transparency: float) -> Tensor:
    """Blend one color over a region: `(1 - t) * image + t * color` inside, the image itself outside.

    Source: InstructDiffusion, section 3.1 (t = 0.5).

    Args:
        image: float32 (3, H, W) in [-1, 1].
        mask: bool (H, W).
        rgb: the color, 0 to 255.
        transparency: t in [0, 1), the share of the image that shows through; 0 is opaque.
    """
    color = rgb_values([rgb]).to(image).view(3, 1, 1)
    return torch.where(mask, transparency * image + (1.0 - transparency) * color, image)


def disc_maps(points: NDArray[np.float64], size: tuple[int, int], radius: float) -> Tensor:
    """Discs as sets of pixels: a pixel belongs to a disc when its centre lies within `radius` of the disc's centre.

    Args:
        points: (K, 2) x, y in pixels, any fraction, also outside of the image.
        size: height and width.
        radius: in pixels, at least 1 so that no disc is empty.

    Returns:
        bool (K, H, W).
    """
    height, width = size
    centres = torch.as_tensor(np.asarray(points, dtype=np.float64).reshape(-1, 2))
    dx = torch.arange(width, dtype=torch.float64) - centres[:, 0:1]
    dy = torch.arange(height, dtype=torch.float64) - centres[:, 1:2]
    return dy.square()[:, :, None] + dx.square()[:, None, :] <= radius * radius


def discs(
    image: Tensor,
    points: NDArray[np.float64],
    rgbs: Sequence[Sequence[int]],
    *,
    radius: float,
    transparency: float = 0.0,
) -> Tensor:
    """Paint one filled disc a point, without soft edges; later discs cover earlier ones.

    Source: InstructDiffusion, section 3.1 (opaque, 10 px at 256 px).

    Args:
        image: float32 (3, H, W) in [-1, 1].
        points: (K, 2) x, y in pixels, any fraction.
        rgbs: K colors, 0 to 255.
        radius: in pixels, at least 1.
        transparency: the share of the image that shows through, in [0, 1); 0 is opaque. Always blended with the unpainted image.
    """
    painted = image.clone()
    for disc, rgb in zip(disc_maps(points, (image.shape[1], image.shape[2]), radius), rgbs, strict=True):
        painted = torch.where(disc, blend(image, disc, rgb, transparency), painted)
    return painted


def contrasting(image: Tensor, colors: Mapping[str, Rgb]) -> str:
    """Choose the color that is easiest to tell from an image, by the image alone.

    It is the color whose nearest tenth of the pixels lies farthest away, so that no sizeable part of the image
    already has it.

    Args:
        image: float32 (3, ...) in [-1, 1], the pixels that count; may be none.
        colors: names and values; the first of equals wins.
    """
    names = list(colors)
    if not image.numel():
        return names[0]
    values = rgb_values([colors[name] for name in names]).to(image)
    distances = torch.cdist(values, image.flatten(1).T.contiguous())
    nearest = max(1, distances.shape[1] // 10)
    reach = distances.kthvalue(nearest, dim=1).values
    return names[int(reach.argmax())]


def class_color(index: int) -> Rgb:
    """A color for class or joint `index` in images for people; neighbours in number differ (golden-angle hues)."""
    red, green, blue = colorsys.hsv_to_rgb((0.02 + index * 0.618033988749895) % 1.0, (1.0, 0.65)[index // 8 % 2], 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
