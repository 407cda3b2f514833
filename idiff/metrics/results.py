"""Answers in the formats that others re-score. Nothing here writes files; everything returned is JSON-able."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.types import VOID, Labels, Prediction
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import hash64

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


def picture_number(query: Mapping[str, Any]) -> int:
    """The id of a query's picture in the set's own files; where it has none, a number made of its key."""
    for known in (query.get("image_id"), query.get("origin", {}).get("image_id")):
        if isinstance(known, int):
            return known
    return hash64("image", query["key"]) >> 11  # fits a double, as readers of JSON need


def own_label_map(prediction: Prediction, queries: Sequence[Mapping[str, Any]]) -> Labels:
    """A label map with the values that the set's own label maps have, as its own evaluators read them.

    Args:
        prediction: with `labels`, uint8 (H, W): class indices.
        queries: of its group. `class` is the asked class's index (`indices`: those of several), `background` that of the background
            (None: there is none), `values` what the set's own maps hold for them.

    Returns:
        uint8 (H, W); 255 stays, and so does an index that no query names.

    Raises:
        ConfigError: the prediction has no labels.
    """
    if prediction.labels is None:
        raise ConfigError(
            f"cannot write a label map of '{queries[0]['key']}': the prediction has no labels. "
            "Give predictions that a segmentation task combined."
        )
    table = np.arange(VOID + 1, dtype=np.uint8)
    for query in queries:
        if "values" in query:
            indices = [*_classes(query), *([] if query["background"] is None else [query["background"]])]
            table[indices] = query["values"]
    mapped: Labels = table[prediction.labels.cpu().numpy()]
    return mapped


def class_mask_results(prediction: Prediction, queries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mask of each asked class on its own, before they were merged: what `mciou` scores.

    Args:
        prediction: with `masks`, class index -> bool (H, W).
        queries: of its group.

    Returns:
        for each asked class `image_id`, `key`, `category` (its name), `value` in the set's own label maps and
        `segmentation` (COCO's compressed run-length encoding). Empty where the prediction has no masks.
    """
    return [
        {
            "image_id": picture_number(query),
            "key": query["key"],
            "category": name,
            "value": query["values"][place] if "values" in query else index,
            "segmentation": encode_mask(prediction.masks[index].cpu().numpy()),
        }
        for query in queries
        if prediction.masks is not None
        for place, (index, name) in enumerate(
            zip(_classes(query), query["names"] if "names" in query else [query["name"]], strict=True)
        )
        if index in prediction.masks
    ]


def _classes(query: Mapping[str, Any]) -> list[int]:
    """Indices of the classes that a query asks for."""
    return [*query["indices"]] if "indices" in query else [query["class"]]


def mask_result(prediction: Prediction) -> dict[str, Any]:
    """One mask with what names its question, as an entry of a results list like COCO's.

    Args:
        prediction: with `mask`, bool (H, W), and the query that was asked.

    Returns:
        `image_id`, `key` and `item` of the sample, the set's own `ref_id` and `sent_id` where it has them, `phrase`,
        `segmentation` (COCO's compressed run-length encoding) and `score`. An empty mask says that nothing fits.

    Raises:
        ConfigError: the prediction has no mask.
    """
    query = prediction.query
    if prediction.mask is None:
        raise ConfigError(
            f"cannot write a mask result of '{query['key']}': the prediction has no mask. "
            "Give predictions that a referring task combined."
        )
    names = {name: query["origin"][name] for name in ("ref_id", "sent_id") if name in query.get("origin", {})}
    return {
        "image_id": picture_number(query),
        "key": query["key"],
        "item": int(str(query["group"]).rpartition("/")[2]),
        **names,
        "phrase": query.get("phrase", ""),
        "segmentation": encode_mask(prediction.mask.cpu().numpy()),
        "score": float(prediction.score),
    }
