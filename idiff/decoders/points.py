"""From score maps to points: where is the middle of each painted disc, to a fraction of a pixel?"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_ROUNDS = 12


def locate(scores: Tensor, *, radius: float, threshold: float = 0.25, faint: bool = False) -> Tensor:
    """Find one disc in each score map.

    The peak of a disc-sized mean says where to look. The centroid of the evidence inside the disc there is then taken
    again and again. Pixels that cannot show the disc, beyond the image's border or under a disc painted later (a
    larger k), count as filled, so that a disc of which only a part is seen is not pulled towards that part.

    Args:
        scores: float (B, K, H, W) in [0, 1], larger than 0.5 where painted; k in the order of painting.
        radius: of the discs in pixels.
        threshold: least share of the visible disc that must be filled; below it nothing was painted.
        faint: where nothing was painted, look for the place with most of the color all the same.

    Returns:
        float32 (B, K, 3): x, y in pixels and the filled share in [0, 1]; (NaN, NaN, 0) where nothing was painted, or with `faint`
        the place with most of the color and its mean score there, below the threshold.
    """
    batch, count = scores.shape[:2]
    seen = _uncovered(scores)
    evidence = (4.0 * scores.float() - 2.0).clamp(0.0, 1.0)  # none at 0.5, full from 0.75 on
    points = _find(evidence, seen, radius)
    missing = points[:, 2] < threshold
    if faint:
        most = scores.float().amax(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        candidates = _find((2.0 * scores.float() / most - 1.0).clamp_min(0.0), seen, radius)
        candidates[:, 2] *= (most.flatten() / 2).clamp(max=0.99) * threshold
        points = torch.where(missing[:, None], candidates, points)
    else:
        points[missing] = torch.tensor([math.nan, math.nan, 0.0], device=scores.device)
    return points.view(batch, count, 3)


def _find(evidence: Tensor, seen: Tensor, radius: float) -> Tensor:
    """Centre and filled share of the best disc of each map (B, K, H, W) in [0, 1]: float32 (B * K, 3)."""
    height, width = evidence.shape[2:]
    peaks = _peaks(evidence, seen, radius)
    windows, known, origin = _windows(evidence, seen, peaks, reach=2 * math.ceil(radius))
    side = windows.shape[-1]
    steps = torch.arange(side, device=evidence.device, dtype=torch.float32)
    x = origin[:, 0, None, None] + steps[None, None, :]
    y = origin[:, 1, None, None] + steps[None, :, None]
    centre = peaks.clone()
    for _ in range(_ROUNDS):
        # What is seen weighs in from one pixel around the disc, so that the disc can pull the centre towards itself.
        found = windows * _soft_disc(x, y, centre, radius + 1)
        weight = torch.where(known, found, _soft_disc(x, y, centre, radius))
        total = weight.sum(dim=(1, 2)).clamp_min(1e-6)
        moved = torch.stack([(weight * x).sum(dim=(1, 2)) / total, (weight * y).sum(dim=(1, 2)) / total], dim=1)
        centre = torch.where((found.sum(dim=(1, 2)) > 0)[:, None], moved, centre)
    limit = torch.tensor([width - 0.5, height - 0.5], device=evidence.device)
    centre = torch.minimum(centre.clamp_min(-0.5), limit)
    disc = _soft_disc(x, y, centre, radius) * known
    filled = (disc * windows).sum(dim=(1, 2)) / disc.sum(dim=(1, 2)).clamp_min(1e-6)
    return torch.cat([centre, filled[:, None]], dim=1)


def _uncovered(scores: Tensor) -> Tensor:
    """Where each disc would be seen if it were there: not under a disc painted later. Bool (B, K, H, W)."""
    painted = (scores > 0.5).int()
    later = painted.flip(1).cumsum(dim=1).flip(1) - painted
    return later == 0


def _peaks(evidence: Tensor, seen: Tensor, radius: float) -> Tensor:
    """Whole-pixel centres of the disc-sized windows with the most evidence: float32 (B * K, 2)."""
    batch, count, height, width = evidence.shape
    reach = math.ceil(radius)
    steps = torch.arange(-reach, reach + 1, device=evidence.device, dtype=torch.float32)
    kernel = (steps[:, None].square() + steps[None, :].square() <= radius * radius).float()[None, None]
    flat = (evidence * seen).reshape(batch * count, 1, height, width)
    best = F.conv2d(flat, kernel, padding=reach).flatten(1).argmax(dim=1)
    return torch.stack([best % width, best // width], dim=1).float()


def _windows(evidence: Tensor, seen: Tensor, peaks: Tensor, *, reach: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cut a square around each peak: evidence, whether a pixel could show the disc, and the square's first x and y."""
    height, width = evidence.shape[2:]
    offsets = torch.arange(-reach, reach + 1, device=evidence.device)
    columns = peaks[:, 0].long()[:, None] + offsets
    rows = peaks[:, 1].long()[:, None] + offsets
    exists = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    index = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    number = torch.arange(len(peaks), device=evidence.device)[:, None, None]
    values = evidence.flatten(2).flatten(0, 1)[number, index]
    known = seen.flatten(2).flatten(0, 1)[number, index] & exists
    return values * known, known, peaks - reach


def _soft_disc(x: Tensor, y: Tensor, centre: Tensor, radius: float) -> Tensor:
    """Membership in a disc with an edge one pixel wide: float32 (N, side, side)."""
    distance = ((x - centre[:, 0, None, None]).square() + (y - centre[:, 1, None, None]).square()).sqrt()
    return (radius + 0.5 - distance).clamp(0.0, 1.0)
