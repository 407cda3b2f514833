"""Which pixels of a true depth are scored: the crops and caps that published figures of NYUv2 and KITTI agree on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Crop = Literal["none", "eigen", "garg"]

CROPS: dict[Crop, tuple[float, float, float, float]] = {
    "none": (0, 1, 0, 1),
    "eigen": (45 / 480, 471 / 480, 41 / 640, 601 / 640),
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
}
"""Top, bottom, left and right of what is scored, as shares of the image: of NYUv2 and KITTI, as BTS (arXiv 1907.10326) has them.

`eigen`: rows 45 to 471 and columns 41 to 601 of 480x640, where NYUv2's camera sees (Eigen et al., NIPS 2014). `garg`: where KITTI's
laser measures (Garg et al., ECCV 2016).
"""


def scored_pixels(depth: Tensor, *, crop: Crop = "none", cap: float | None = None, min_depth: float = 0.0) -> Tensor:
    """Which pixels of a true depth (H, W) count: bool (H, W).

    Args:
        depth: meters, 0 where not known.
        crop: a name of `CROPS`; its edges are rounded down to whole pixels.
        cap: meters; only what is nearer counts.
        min_depth: meters; only what is farther counts.
    """
    height, width = depth.shape
    shares = zip(CROPS[crop], (height, height, width, width), strict=True)
    top, bottom, left, right = (int(share * side + 1e-6) for share, side in shares)
    inside = torch.zeros_like(depth, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    known = inside & (depth > max(min_depth, 0))
    return known if cap is None else known & (depth < cap)
