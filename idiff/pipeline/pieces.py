"""Image in, image out, pixel on pixel: whole at its own size, or in overlapping tiles of the model's size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.models.backbone import LatentDiffusion
from idiff.models.memory import spare_memory
from idiff.predictions import ImagePrediction, expect
from idiff.tasks.saved import TaskChoice
from idiff.types import Picture
from idiff.utils.images import to_tensor
from idiff.utils.merging import edited_weight
from idiff.utils.tiles import Window, blend_tiles, tiles

OVERLAP_SHARE = 0.25
"""Least overlap of neighbouring tiles over their side."""

MOST_NATIVE = 1 << 20
"""Pixels of the largest image that is painted whole at its own size: attention grows with their square."""

ROWS = 32
"""Images painted in one batch."""


JUDGED = 16
"""Most tiles of an image that tell how familiar it is."""


@dataclass(slots=True)
class Painted:
    """A painted image, in the pixels of the original.

    Attributes:
        picture: float32 (3, H, W) in [-1, 1].
        weight: float32 (H, W) in [0, 1]: where it was edited, see `idiff.utils.merging.edited_weight`.
    """

    picture: Tensor
    weight: Tensor


def native_window(size: tuple[int, int], factor: int) -> Window:
    """The whole image of (height, width), with a border up to the next multiples of the autoencoder's factor.

    Raises:
        ConfigError: the image has more than `MOST_NATIVE` pixels.
    """
    if size[0] * size[1] > MOST_NATIVE:
        raise ConfigError(
            f"the image has {size[1]} x {size[0]} pixels: expected {MOST_NATIVE:,} or fewer to paint it whole at its own size. "
            "Use tiles instead."
        )
    height, width = (-(-side // factor) * factor for side in size)
    return Window((size[0] - height) // 2, (size[1] - width) // 2, height, width)


def tile_windows(size: tuple[int, int], side: int) -> tuple[list[Window], int]:
    """Tiles of the model's side that cover an image of (height, width), and their overlap in pixels."""
    overlap = int(OVERLAP_SHARE * side)
    return tiles(size, side, overlap=overlap), overlap


def seen_through(pixels: Picture, window: Window, *, replicate: bool = False) -> Tensor:
    """The part of an image that a window shows: float32 (3, height, width) in [-1, 1].

    Beyond the image it is gray, as in training, or with `replicate` the nearest pixel of the image.
    """
    size = (pixels.shape[0], pixels.shape[1])
    here, inside = window.shared(size)
    part = to_tensor(np.ascontiguousarray(pixels[here]))
    if replicate:
        (rows, columns), (height, width) = inside, (window.height, window.width)
        beyond = (columns.start, width - columns.stop, rows.start, height - rows.stop)
        return torch.nn.functional.pad(part[None], beyond, mode="replicate")[0]
    shown = torch.zeros(3, window.height, window.width)
    shown[:, inside[0], inside[1]] = part
    return shown


def sample_tiles(pixels: Picture, side: int) -> Tensor:
    """At most `JUDGED` tiles of an image, spread evenly over it: float32 (N, 3, side, side) in [-1, 1]."""
    windows = tiles((pixels.shape[0], pixels.shape[1]), side, overlap=0)
    some = windows[:: math.ceil(len(windows) / JUDGED)]
    return torch.stack([seen_through(pixels, window, replicate=True) for window in some])


@torch.no_grad()
def paint_pieces(
    backbone: LatentDiffusion,
    choice: TaskChoice,
    pixels: Picture,
    instruction: str,
    *,
    windows: Sequence[Window],
    overlap: int,
    threshold: float,
    device: torch.device,
    native: bool,
) -> Painted:
    """Paint an image window by window and put it together. Every window is sampled from the same noise.

    Args:
        backbone: the model.
        choice: a task that answers with images, and how it is sampled.
        pixels: uint8 (H, W, 3).
        instruction: the prompt, the same for all windows.
        windows: they cover the image.
        overlap: pixels over which neighbours are blended.
        threshold: gray levels from which a pixel counts as edited.
        device: where the network runs.
        native: the border around the image repeats its outermost pixels; otherwise it is gray, as in training.
    """
    size = (pixels.shape[0], pixels.shape[1])
    spare_memory(backbone, (windows[0].height, windows[0].width))

    def answers() -> Iterator[tuple[Window, Tensor]]:
        for start in range(0, len(windows), ROWS):
            some = windows[start : start + ROWS]
            source = torch.stack([seen_through(pixels, window, replicate=native) for window in some]).to(device)
            edited = backbone.edit(source, [instruction] * len(some), sampling=choice.sampling, seeds=[0] * len(some))
            rendered = backbone.autoencoder.render(source)
            weight = edited_weight(edited, rendered, threshold=threshold)
            queries = [{"task": choice.task.kind} for _ in some]
            for window, found, share in zip(some, choice.task.decode(edited, rendered, queries), weight, strict=True):
                picture = expect(found, ImagePrediction, by="painting in pieces", key=choice.name).picture
                yield window, torch.cat([picture, share[None]]).float().cpu()

    whole = blend_tiles(answers(), size, overlap=overlap)
    return Painted(whole[:3], whole[3])
