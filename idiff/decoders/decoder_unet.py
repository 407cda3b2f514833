"""A lightweight U-Net that reads one color of one painted image (InstructDiffusion, section 3.1: "a lightweight U-Net")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from idiff.decoders.color import color_scores
from idiff.errors import ConfigError

PLANES = 14
"""Input channels of the net, see `planes`."""

FAR = 2.0
"""Distance to the nearest other asked blend where no other color was asked for: no two colors in [-1, 1] are further apart."""

_GROUPS = 4


class ReadoutNet(nn.Module):
    """U-Net with residual blocks and group norm: planes of one image and one color in, one map of logits out.

    Skips are added, so that the full resolution stays cheap. Works at any size of at least 1 px: images are padded inside.

    Args:
        widths: channels of each level, the full resolution first; multiples of 4.

    Raises:
        ConfigError: no widths, or one that is not a multiple of 4.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        if not widths or any(width < _GROUPS or width % _GROUPS for width in widths):
            raise ConfigError(f"widths={list(widths)} are no channels of a decoder: expected multiples of {_GROUPS}.")
        self.widths = tuple(int(width) for width in widths)
        pairs = list(zip(self.widths[:-1], self.widths[1:], strict=True))
        self.conv_in = nn.Conv2d(PLANES, self.widths[0], 3, padding=1)
        self.down = nn.ModuleList(_Block(width) for width in self.widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 3, stride=2, padding=1) for fine, coarse in pairs)
        self.middle = nn.Sequential(_Block(self.widths[-1]), _Block(self.widths[-1]))
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.up = nn.ModuleList(_Block(width) for width in self.widths[:-1])
        self.norm = nn.GroupNorm(_GROUPS, self.widths[0])
        self.conv_out = nn.Conv2d(self.widths[0], 1, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, H, W) of planes (N, 14, H, W); larger than 0 where the color was painted."""
        height, width = inputs.shape[-2:]
        cell = 2 ** (len(self.widths) - 1)
        padded = F.pad(inputs, (0, -width % cell, 0, -height % cell), mode="replicate")
        x = self.conv_in(padded)
        skips = []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for level in reversed(range(len(skips))):
            x = skips[level] + F.interpolate(self.grow[level](x), scale_factor=2.0, mode="nearest")
            x = self.up[level](x)
        logits: Tensor = self.conv_out(F.silu(self.norm(x)))[:, 0, :height, :width]
        return logits


class _Block(nn.Module):
    """x + convolutions of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(_GROUPS, width), nn.GroupNorm(_GROUPS, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return x + changed


def planes(edited: Tensor, rendered: Tensor, colors: Tensor, transparency: Tensor) -> tuple[Tensor, Tensor]:
    """What the net sees: one row for each color that was asked for, in the order of images, then colors.

    The planes are: the painted image (3), the source (3), the asked color (3), the transparency (1), the root mean square
    distance over RGB to the asked blend, to the source and to the nearest other asked blend (3), and the score of
    `color_scores` (1).

    Args:
        edited: float32 (B, 3, H, W) in [-1, 1], what the model painted.
        rendered: float32 (B, 3, H, W) in [-1, 1], the source as the autoencoder renders it.
        colors: float32 (B, K, 3) in [-1, 1]; rows of NaN are not asked for.
        transparency: float32 (B,) in [0, 1).

    Returns:
        the planes, float32 (N, 14, H, W); bool (B, K), which colors were asked for: N of them.
    """
    asked = colors.isfinite().all(dim=2)
    values = colors.nan_to_num(0.0).to(edited)[:, :, :, None, None]
    share = transparency.to(edited).view(-1, 1, 1, 1, 1)
    blends = share * rendered[:, None] + (1.0 - share) * values
    mine = (edited[:, None] - blends).square().mean(dim=2).sqrt()
    source = (edited - rendered).square().mean(dim=1, keepdim=True).sqrt().expand_as(mine)
    open_ = mine.masked_fill(~asked[:, :, None, None], FAR)
    others = torch.full_like(mine, FAR)
    count = colors.shape[1]
    if count > 1:
        rest = ~torch.eye(count, dtype=torch.bool, device=mine.device)
        others = torch.stack([open_[:, rest[k]].amin(dim=1) for k in range(count)], dim=1)
    evidence = _evidence(edited, rendered, colors, transparency)
    shape = (*mine.shape[:2], 3, *mine.shape[2:])
    stacked = torch.cat(
        [
            edited[:, None].expand(shape),
            rendered[:, None].expand(shape),
            values.expand(shape),
            share.expand(*shape[:2], 1, *shape[3:]),
            torch.stack([mine, source, others, evidence], dim=2),
        ],
        dim=2,
    )
    return stacked[asked], asked


def _evidence(edited: Tensor, rendered: Tensor, colors: Tensor, transparency: Tensor) -> Tensor:
    """Color scores (B, K, H, W) of rows that may differ in transparency."""
    scores = edited.new_zeros((*colors.shape[:2], *edited.shape[2:]))
    for value in sorted(set(transparency.tolist())):
        rows = transparency == value
        scores[rows] = color_scores(edited[rows], rendered[rows], colors[rows], value)
    return scores
