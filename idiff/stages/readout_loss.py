"""How a decoder's reading is compared with the truth, and shown as an image again."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def readout_loss(logits: Tensor, truth: Tensor, *, overlap_weight: float) -> Tensor:
    """Mean cross-entropy a pixel, plus `overlap_weight` times one minus the soft overlap of maps that are not empty.

    Args:
        logits: float (N, H, W).
        truth: float (N, H, W) in [0, 1].
        overlap_weight: 0 leaves the overlap out. It is Dice's with squares (Milletari et al., arXiv 1606.04797, section 3).

    Returns:
        a scalar.
    """
    error = F.binary_cross_entropy_with_logits(logits, truth)
    some = truth.amax(dim=(1, 2)) > 0
    if overlap_weight and bool(some.any()):
        scores, true = logits[some].sigmoid(), truth[some]
        dice = 2 * (scores * true).sum(dim=(1, 2)) / (scores.square() + true.square()).sum(dim=(1, 2)).clamp_min(1e-6)
        error = error + overlap_weight * (1 - dice).mean()
    return error


def repaint(rendered: Tensor, blends: Tensor, scores: Tensor) -> Tensor:
    """Paint what was read over the source, each color as strongly as its score: a score above one half lies nearer to the blend.

    Args:
        rendered: (B, 3, H, W), the sources as the autoencoder renders them.
        blends: (B, K, 3, H, W), the asked colors over them.
        scores: (B, K, H, W) in [0, 1].

    Returns:
        (B, 3, H, W).
    """
    strength = (scores / scores.sum(dim=1, keepdim=True).clamp_min(1.0))[:, :, None]
    return rendered + (strength * (blends - rendered[:, None])).sum(dim=1)
