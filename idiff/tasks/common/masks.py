"""What tasks that paint one region in one colour share: reading its mask back, and tinting it for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.decoders import Decoder, query_colors
from idiff.errors import ConfigError
from idiff.transforms.geometry import unwarp
from idiff.types import Picture, Prediction


def region_scores(
    edited: Tensor,
    rendered: Tensor,
    queries: Sequence[Mapping[str, Any]],
    *,
    decoder: Decoder,
    transparency: float,
) -> Tensor:
    """How sure each pixel is painted in its query's colour: float (B, H, W) in [0, 1].

    Args:
        edited: float32 (B, 3, H, W) in [-1, 1].
        rendered: float32 (B, 3, H, W), the sources as the autoencoder renders them.
        queries: B queries; `rgb` is the asked colour.
        decoder: reads the colour.
        transparency: the share of the picture that shows through.
    """
    colors = query_colors([[query["rgb"]] for query in queries], edited)
    return decoder.scores(edited, rendered, colors, transparency)[:, 0]


def sure_regions(scores: Tensor, *, pixels: int = 1, score: float = 0.0) -> Tensor:
    """Empty the maps whose region is a speck or unsure. A model that doubts paints half a colour, and half a colour is no answer.

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


def mask_prediction(query: dict[str, Any], scores: Tensor) -> Prediction:
    """The mask where scores (H, W) are above one half; its score is their mean there, 0 for an empty mask."""
    mask = scores > 0.5
    sure = float(scores[mask].mean()) if bool(mask.any()) else 0.0
    return Prediction(query=query, score=sure, mask=mask, scores=scores)


def original_scores(predictions: Sequence[Prediction], query: Mapping[str, Any]) -> Tensor:
    """The score maps of one group in the pixels of the original picture: float (N, height, width).

    Args:
        predictions: as `decode` returned them; one that has scores (K, H, W) gives K of the N maps.
        query: one of the group; `warp` and `size` are the same for all.

    Raises:
        ConfigError: a prediction has no scores.
    """
    maps = [prediction.scores for prediction in predictions]
    found = [scores for scores in maps if scores is not None]
    if len(found) < len(maps):
        raise ConfigError("a mask without scores cannot be combined with others: combine what decode() returned.")
    stacked = torch.cat([one if one.dim() == 3 else one[None] for one in found])
    return unwarp(stacked, query["warp"], (int(query["size"][0]), int(query["size"][1])))


def tint(picture: Picture, mask: NDArray[np.bool_], rgb: Sequence[int]) -> Picture:
    """Lay 60 % of a colour over a region.

    Args:
        picture: uint8 (H, W, 3); stays as it is.
        mask: bool (H, W).
        rgb: 0 to 255.

    Returns:
        uint8 (H, W, 3), a new picture.
    """
    drawn = picture.copy()
    drawn[mask] = (0.4 * picture[mask] + 0.6 * np.asarray(rgb, np.float32)).round().astype(np.uint8)
    return drawn
