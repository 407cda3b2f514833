"""The flip test: evaluation asks about the mirrored image as well, and takes the mean of both answers.

Usual in pose estimation (Newell et al., ECCV 2016, section 3.1) and in semantic segmentation. It costs one more prompt for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from idiff.transforms.geometry import invert


def scale_of(warp: Sequence[Sequence[float]]) -> float:
    """How many of the model's pixels a pixel of the original image is long, by the matrix of a query."""
    return float(abs(np.linalg.det(np.asarray(warp, dtype=np.float64)[:, :2])) ** 0.5)


def in_original(points: Tensor, warp: Sequence[Sequence[float]]) -> Tensor:
    """Points (K, 3) of x, y, score in the model's pixels, moved to those of the original image: float64."""
    back, found = torch.from_numpy(invert(np.asarray(warp, dtype=np.float64))), points.detach().cpu().double()
    return torch.cat([found[:, :2] @ back[:, :2].T + back[:, 2], found[:, 2:]], dim=1)


def merge_points(estimates: Sequence[tuple[Tensor, Sequence[int]]], total: int, *, near: float) -> Tensor:
    """One point for each joint: the mean of its estimates, weighed by score, or the surest one where they lie apart.

    Args:
        estimates: points (K, 3) of x, y, score, (NaN, NaN, 0) where a joint was not found; and which joints they are.
        total: number of joints.
        near: estimates within this distance of the surest one are averaged, in the unit of the points.

    Returns:
        float32 (total, 3); (NaN, NaN, 0) where no estimate found the joint. The score is the mean over a joint's estimates.
    """
    points = torch.full((total, 3), math.nan, dtype=torch.float32)
    points[:, 2] = 0.0
    of_joint: list[list[Tensor]] = [[] for _ in range(total)]
    for rows, joints in estimates:
        for index, point in zip(joints, rows.double(), strict=True):
            of_joint[index].append(point)
    for index, each in enumerate(of_joint):
        found = [point for point in each if bool(torch.isfinite(point).all())]
        if found:
            best = max(found, key=lambda point: float(point[2]))
            close = torch.stack([point for point in found if float((point - best)[:2].norm()) <= near])
            weight = close[:, 2:].clamp_min(1e-6)
            points[index, :2] = ((weight * close[:, :2]).sum(dim=0) / weight.sum()).float()
            points[index, 2] = float(sum(point[2] for point in each) / len(each))
    return points


def merge_maps(maps: Sequence[Tensor]) -> list[Tensor]:
    """The mean of score maps and of those of the mirrored image.

    Args:
        maps: float (..., H, W) each; the second half is of the mirrored image, in the order of the first.

    Returns:
        half as many.
    """
    count = len(maps) // 2
    return [(straight + mirrored.flip(-1)) / 2 for straight, mirrored in zip(maps[:count], maps[count:], strict=True)]
