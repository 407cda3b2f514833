"""What tasks that paint regions share: reading their masks back, and drawing answers for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import ConfigError
from idiff.predictions import MaskPrediction
from idiff.tasks.common.flip_test import merge_maps
from idiff.transforms.geometry import seen_part, unwarp
from idiff.types import Picture, Prediction


def sure_regions(scores: Tensor, *, pixels: int = 1, score: float = 0.0) -> Tensor:
    """Empty the maps whose region is a speck or unsure. A model that doubts paints half a color, and half a color is not an answer.

    Args:
        scores: float (B, H, W) in [0, 1]; the region is where they are above one half.
        pixels: least size of a region.
        score: least mean of the scores in a region.

    Returns:
        float (B, H, W); emptied maps are at most one half.
    """
    region = scores > 0.5
    size = region.sum(dim=(1, 2))
    mean = (scores * region).sum(dim=(1, 2)) / size.clamp_min(1)
    empty = (size < pixels) | (mean < score)
    return torch.where(empty[:, None, None], scores.clamp(max=0.5), scores)


def mask_prediction(query: dict[str, Any], scores: Tensor) -> MaskPrediction:
    """The mask where scores (H, W) are above one half; its score is their mean there, 0 for an empty mask."""
    mask = scores > 0.5
    sure = float(scores[mask].mean()) if bool(mask.any()) else 0.0
    return MaskPrediction(query=query, score=sure, mask=mask, scores=scores)


def original_scores(predictions: Sequence[Prediction], query: Mapping[str, Any], *, flip_test: bool = False) -> Tensor:
    """The score maps of one group in the pixels of the original image: float (N, height, width), 0 where the model did not see it.

    Args:
        predictions: as `decode` returned them; one that has scores (K, H, W) gives K of the N maps.
        query: the group's first; `warp` and `size` are the same for all.
        flip_test: the second half of the predictions is of the mirrored image.

    Raises:
        ConfigError: a prediction has no scores.
    """
    maps = [getattr(prediction, "scores", None) for prediction in predictions]
    found = [scores for scores in maps if scores is not None]
    if len(found) < len(maps):
        raise ConfigError("a mask without scores cannot be combined with others: combine what decode() returned.")
    if flip_test:
        found = merge_maps(found)
    stacked = torch.cat([one if one.dim() == 3 else one[None] for one in found])
    size = (int(query["size"][0]), int(query["size"][1]))
    seen = torch.from_numpy(seen_part(query["warp"], (stacked.shape[1], stacked.shape[2]), size))
    return unwarp(stacked, query["warp"], size) * seen.to(stacked)


def tint(picture: Picture, mask: NDArray[np.bool_], rgb: Sequence[int]) -> Picture:
    """Lay 60 % of a color over a region.

    Args:
        picture: uint8 (H, W, 3); stays as it is.
        mask: bool (H, W).
        rgb: 0 to 255.

    Returns:
        uint8 (H, W, 3), a new image.
    """
    drawn = picture.copy()
    drawn[mask] = (0.4 * picture[mask] + 0.6 * np.asarray(rgb, np.float32)).round().astype(np.uint8)
    return drawn


def named_square(picture: Picture, name: str, rgb: Sequence[int]) -> Picture:
    """Lay half of a color over a rectangle in the middle and write a name into it.

    Args:
        picture: uint8 (H, W, 3); stays as it is.
        name: of the class.
        rgb: 0 to 255.

    Returns:
        uint8 (H, W, 3), a new image.
    """
    drawn, (height, width) = picture.copy(), picture.shape[:2]
    rows, columns = (slice(side // 4, max(side - side // 4, 1)) for side in (height, width))
    drawn[rows, columns] = (0.5 * drawn[rows, columns] + 0.5 * np.asarray(rgb, np.float32)).astype(np.uint8)
    scale, thick = max(0.6, width / 160), max(1, width // 160)
    cv2.putText(drawn, name, (width // 4, height // 2), cv2.FONT_HERSHEY_PLAIN, scale, (0, 0, 0), thick, cv2.LINE_AA)
    return drawn
