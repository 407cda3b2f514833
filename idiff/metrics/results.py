"""Answers in the formats that others re-score. Nothing here writes files; everything returned is JSON-able."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.types import Prediction

ABSENT = -10_000.0
"""x and y of a joint that was not painted: too far from any picture to match, near enough that the person's extent
stays below the largest area that COCO's evaluation counts (1e10 pixels squared; larger false positives are ignored)."""


def place_absent(keypoints: Tensor) -> Tensor:
    """Move joints that were not painted to where they match nothing.

    Args:
        keypoints: float (K, 2) or (K, 3): x, y, maybe a score; x or y is not finite where a joint was not painted.

    Returns:
        a copy of the same shape, float64: absent joints at (`ABSENT`, `ABSENT`), with score 0.
    """
    placed = keypoints.double().clone()
    absent = ~placed[:, :2].isfinite().all(dim=1)
    placed[absent, :2] = ABSENT
    placed[absent, 2:] = 0.0
    return placed


def coco_keypoint_result(prediction: Prediction, *, image_id: int, category_id: int = 1) -> dict[str, Any]:
    """One entry of COCO's keypoint results format.

    Args:
        prediction: with `keypoints`, float32 (K, 3), and `score`.
        image_id: the picture's id in the ground-truth file.
        category_id: the category's id there; 1 is COCO's person.

    Returns:
        `image_id`, `category_id`, `keypoints` (3 K numbers: x, y, score a joint, pixels) and `score`.

    Raises:
        ConfigError: the prediction has no keypoints.
    """
    if prediction.keypoints is None:
        raise ConfigError(
            f"cannot write a COCO keypoint result for image {image_id}: the prediction has no keypoints. "
            "Give predictions that a keypoint task combined."
        )
    return {
        "image_id": image_id,
        "category_id": category_id,
        "keypoints": place_absent(prediction.keypoints.to(torch.device("cpu"))).flatten().tolist(),
        "score": float(prediction.score),
    }


def coco_keypoint_results(
    predictions: Iterable[Prediction], image_ids: Iterable[int], *, category_id: int = 1
) -> list[dict[str, Any]]:
    """COCO's keypoint results list, ready for `json.dump` and pycocotools' `COCO.loadRes`.

    Args:
        predictions: combined predictions, one a person, in any order.
        image_ids: the id of each one's picture, as many as predictions.
        category_id: as in `coco_keypoint_result`.

    Raises:
        ConfigError: a prediction has no keypoints.
        ValueError: the two differ in length.
    """
    return [
        coco_keypoint_result(prediction, image_id=image_id, category_id=category_id)
        for prediction, image_id in zip(predictions, image_ids, strict=True)
    ]
