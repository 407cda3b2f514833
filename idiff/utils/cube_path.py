"""Numbers as colors along a path through the RGB cube, and back: seven edges from black to white, a Hilbert curve of its corners.

A number moves one channel at a time, so that it is written with 1,785 steps of 8 bits where gray has 255. Source: Gabeur et al.,
arXiv 2604.20329; the library `hilbertmap` does the same in numpy, and the tests compare with it.
"""

from __future__ import annotations

import torch
from torch import Tensor

CORNERS = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 1, 1))
"""Black, red, yellow, green, cyan, blue, magenta, white."""

EDGES = len(CORNERS) - 1


def walk(share: Tensor) -> Tensor:
    """The color at a place of the path.

    Args:
        share: float (H, W), 0 black to 1 white; what lies outside is clipped.

    Returns:
        float (3, H, W) in [0, 1].
    """
    place = share.clamp(0, 1) * EDGES
    edge = place.floor().clamp(max=EDGES - 1)
    corners = torch.tensor(CORNERS, dtype=share.dtype, device=share.device)
    start, end = corners[edge.long()], corners[edge.long() + 1]
    return (start + (place - edge)[..., None] * (end - start)).movedim(-1, 0)


def project(colors: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest place of the path.

    Args:
        colors: float (3, H, W) in [0, 1].

    Returns:
        float (H, W), the place, 0 to 1, and float (H, W), how far the color lies from it, 0 to about 0.71.
    """
    corners = torch.tensor(CORNERS, dtype=colors.dtype, device=colors.device)
    best, place = torch.full_like(colors[0], torch.inf), torch.zeros_like(colors[0])
    for edge in range(EDGES):
        start, way = corners[edge][:, None, None], (corners[edge + 1] - corners[edge])[:, None, None]
        along = ((colors - start) * way).sum(dim=0).clamp(0, 1)
        away = (colors - start - along * way).square().sum(dim=0)
        place = torch.where(away < best, (edge + along) / EDGES, place)
        best = torch.minimum(best, away)
    return place, best.sqrt()
