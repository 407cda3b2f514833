"""Pixels that an edit left alone come back from the original, at its own resolution."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from idiff.types import Picture

_GROW = 2


def edited_weight(edited: Tensor, rendered: Tensor, *, threshold: float) -> Tensor:
    """Where an image was edited, with a soft edge.

    A pixel counts as edited where the painted image differs from the source as the autoencoder renders it, so that what the
    autoencoder cannot show is not an edit. The region is grown by 2 pixels and its edge made soft inside of that: edited pixels
    have the weight 1, and pixels more than 4 away from any of them 0.

    Args:
        edited: float (B, 3, H, W) in [-1, 1].
        rendered: float (B, 3, H, W), the sources through the autoencoder.
        threshold: gray levels of 255; root mean square over channels and 3 x 3 pixels.

    Returns:
        float (B, H, W) in [0, 1].
    """
    square = (edited - rendered).float().square().mean(dim=1, keepdim=True).nan_to_num(torch.inf)
    change = F.avg_pool2d(square, 3, 1, 1, count_include_pad=False).sqrt() * 127.5
    grown = F.max_pool2d((change > threshold).float(), 2 * _GROW + 1, 1, _GROW)
    return F.avg_pool2d(grown, 2 * _GROW + 1, 1, _GROW, count_include_pad=False)[:, 0]


def paste_back(original: Picture, picture: Picture, weight: Tensor) -> Picture:
    """Lay an edited image over the original by weight; where the weight is 0 the original is kept to the bit.

    Args:
        original: uint8 (H, W, 3).
        picture: uint8 (H, W, 3), the edited one.
        weight: float (H, W) in [0, 1].

    Returns:
        uint8 (H, W, 3).
    """
    share = weight.cpu().numpy()[..., None]
    mixed = np.rint(original + share * (picture.astype(np.float32) - original))
    return np.where(share > 0, mixed, original).clip(0, 255).astype(np.uint8)
