"""Pieces of the tasks whose answer is a given image, carried through instead of painted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idiff.errors import BadSampleError
from idiff.predictions import ImagePrediction, expect
from idiff.tasks.common.view import check_picture
from idiff.types import Picture, Prediction, Sample


def given_target(sample: Sample) -> Picture:
    """The given answer of a sample: uint8 (H, W, 3), of the image's size.

    Raises:
        BadSampleError: the image or its target is missing, of another type, or the two differ in shape.
    """
    check_picture(sample)
    target, expected = sample.target, sample.image.shape
    if not isinstance(target, np.ndarray):
        raise BadSampleError(sample.key, "target", "got none, expected the image that is wanted as the answer")
    if target.dtype != np.uint8 or target.shape != expected:
        reason = f"got {target.dtype} {target.shape}, expected uint8 {expected} as the image"
        raise BadSampleError(sample.key, "target", reason)
    return target


def painted_pictures(edited: Tensor, queries: Sequence[dict[str, Any]]) -> list[ImagePrediction]:
    """Painted images as they are: clipped to [-1, 1], NaN as mid gray, score 1.

    Args:
        edited: float32 (B, 3, H, W).
        queries: B queries.
    """
    clean = torch.nan_to_num(edited.float(), nan=0.0).clamp(-1, 1)
    pairs = zip(queries, clean, strict=True)
    return [ImagePrediction(query=query, score=1.0, picture=picture) for query, picture in pairs]


def needed_picture(prediction: Prediction) -> Tensor:
    """The image of a prediction that `painted_pictures` made."""
    return expect(prediction, ImagePrediction, by="a task of images").picture
