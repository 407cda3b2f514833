"""KNN-GIQA: how near an image lies to many good ones (Gu et al., GIQA: Generated Image Quality Assessment, ECCV 2020).

The density of the reference set at an image, estimated from its K nearest neighbours in a feature space, is its score:
S(x) = 1/K * sum over k of 1 / ||x - x_k||^power, with power 2 and Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from idiff.errors import ConfigError

NEAREST = 1e-6
"""Distances below it count as it, so that an image which is itself in the reference has a finite score."""


def nearest(queries: Tensor, blocks: Iterable[Tensor], *, neighbours: int, rows: int = 1024) -> Tensor:
    """Find the distances to the nearest vectors of a reference set, exactly.

    Args:
        queries: float32 (N, D).
        blocks: the reference set in parts, each float32 (M, D); gone through once. Held at once: one block, and `rows` x M
            distances.
        neighbours: K, how many.
        rows: queries compared at once.

    Returns:
        float32 (N, K), ascending.

    Raises:
        ConfigError: the reference has fewer than K vectors, or vectors of another length.
    """
    best = torch.full((len(queries), neighbours), torch.inf)
    seen = 0
    for block in blocks:
        if block.shape[1] != queries.shape[1]:
            raise ConfigError(
                f"GIQA: the reference has features of {block.shape[1]} numbers, the images have {queries.shape[1]}."
            )
        seen += len(block)
        for begin in range(0, len(queries), rows):
            part = slice(begin, begin + rows)
            far = torch.cdist(queries[part], block, compute_mode="donot_use_mm_for_euclid_dist")
            far = far.topk(min(neighbours, len(block)), dim=1, largest=False).values
            best[part] = torch.cat([best[part], far], dim=1).topk(neighbours, dim=1, largest=False).values
    if seen < neighbours:
        raise ConfigError(f"GIQA: the reference has {seen} images, fewer than {neighbours=}. Give a larger one.")
    return best.sort(dim=1).values


def knn_giqa(queries: Tensor, blocks: Iterable[Tensor], *, neighbours: int = 5, power: float = 2.0) -> Tensor:
    """Score images by their nearest neighbours in a reference set; higher is better.

    Args:
        queries: features, float32 (N, D).
        blocks: features of the reference set in parts, see `nearest`.
        neighbours: K. The paper takes from 1 to thousands, by the size of the reference.
        power: of the distance. The paper's is 2; its released program takes 1, and sums instead of averaging.

    Returns:
        float32 (N,), above 0; `NEAREST ** -power` for an image that is itself in the reference K times.

    Raises:
        ConfigError: as `nearest`.
    """
    far = nearest(queries, blocks, neighbours=neighbours).clamp(min=NEAREST)
    return far.double().pow(-power).mean(dim=1).float()
