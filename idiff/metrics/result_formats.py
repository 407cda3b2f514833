"""Answers in the formats that others re-score. Nothing here writes files; entries of lists are JSON-able."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.metrics.detection import coco_detection_results
from idiff.metrics.instances import coco_instance_results
from idiff.predictions import (
    BoxPrediction,
    ClassMasksPrediction,
    ClassPrediction,
    ImagePrediction,
    InstancesPrediction,
    KeypointPrediction,
    LabelMapPrediction,
    MaskPrediction,
    expect,
)
from idiff.types import VOID, WIDE_VOID, AnyLabels, Picture, Prediction, void_of
from idiff.utils.images import to_picture
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import hash64

ABSENT = -10_000.0
"""x and y of a joint that was not painted: too far from any image to match, near enough that the person's extent
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
        prediction: a combined `KeypointPrediction`.
        image_id: the image's id in the ground-truth file.
        category_id: the category's id there; 1 is COCO's person.

    Returns:
        `image_id`, `category_id`, `keypoints` (3 K numbers: x, y, score a joint, pixels) and `score`.

    Raises:
        ConfigError: the prediction is of another kind.
    """
    found = expect(prediction, KeypointPrediction, by="a COCO keypoint result", key=f"image {image_id}")
    return {
        "image_id": image_id,
        "category_id": category_id,
        "keypoints": place_absent(found.keypoints.to(torch.device("cpu"))).flatten().tolist(),
        "score": float(prediction.score),
    }


def coco_keypoint_results(
    predictions: Iterable[Prediction], image_ids: Iterable[int], *, category_id: int = 1
) -> list[dict[str, Any]]:
    """COCO's keypoint results list, ready for `json.dump` and pycocotools' `COCO.loadRes`.

    Args:
        predictions: combined predictions, one a person, in any order.
        image_ids: the id of each one's image, as many as predictions.
        category_id: as in `coco_keypoint_result`.

    Raises:
        ConfigError: a prediction is of another kind.
        ValueError: the two differ in length.
    """
    return [
        coco_keypoint_result(prediction, image_id=image_id, category_id=category_id)
        for prediction, image_id in zip(predictions, image_ids, strict=True)
    ]


def picture_number(query: Mapping[str, Any]) -> int:
    """The id of a query's image in the set's own files; where it has none, a number made of its key."""
    for known in (query.get("image_id"), query.get("origin", {}).get("image_id")):
        if isinstance(known, int):
            return known
    return hash64("image", query["key"]) >> 11  # fits a double, as readers of JSON need


def own_label_map(prediction: LabelMapPrediction, queries: Sequence[Mapping[str, Any]]) -> AnyLabels:
    """A label map with the values that the set's own label maps have, as its own evaluators read them.

    Args:
        prediction: its labels are class indices.
        queries: of its group. `class` is the asked class's index (`indices`: those of several), `background` that of the background
            (None: there is none), `values` what the set's own maps hold for them.

    Returns:
        uint8 (H, W), or uint16 where a value is larger than 255; void stays, and so does an index that no query names.
    """
    labels = prediction.labels.cpu().numpy()
    table = np.arange(WIDE_VOID + 1, dtype=np.uint16)
    for query in queries:
        if "values" in query:
            indices = [*_classes(query), *([] if query["background"] is None else [query["background"]])]
            table[indices] = query["values"]
    if labels.dtype == np.uint16 or int(table[:VOID].max()) > VOID:
        table[void_of(labels)] = WIDE_VOID
        return np.asarray(table[labels])
    return np.asarray(table[labels].astype(np.uint8))


def class_mask_results(prediction: ClassMasksPrediction, queries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The mask of each asked class on its own, before they were merged: what `mciou` scores.

    Args:
        prediction: of all asked classes.
        queries: of its group.

    Returns:
        for each asked class `image_id`, `key`, `category` (its name), `value` in the set's own label maps and
        `segmentation` (COCO's compressed run-length encoding).
    """
    return [
        {
            "image_id": picture_number(query),
            "key": query["key"],
            "category": name,
            "value": query["values"][place] if "values" in query else index,
            "segmentation": encode_mask(prediction.masks[index].cpu().numpy()),
        }
        for query in (queries if prediction.masks else ())
        for place, (index, name) in enumerate(
            zip(_classes(query), query["names"] if "names" in query else [query["name"]], strict=True)
        )
        if index in prediction.masks
    ]


def _classes(query: Mapping[str, Any]) -> list[int]:
    """Indices of the classes that a query asks for."""
    return [*query["indices"]] if "indices" in query else [query["class"]]


def mask_result(prediction: MaskPrediction) -> dict[str, Any]:
    """One mask with what names its question, as an entry of a results list like COCO's.

    Args:
        prediction: with the query that was asked.

    Returns:
        `image_id`, `key` and `item` of the sample, the set's own `ref_id` and `sent_id` where it has them, `phrase`,
        `segmentation` (COCO's compressed run-length encoding) and `score`. An empty mask says that nothing fits.
    """
    query = prediction.query
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


@dataclass(slots=True)
class Results:
    """What is written of an answer.

    Attributes:
        images: (folder, name) -> uint8 (H, W, 3), or uint8, uint16 or bool (H, W): `folder/name.png`.
        lists: name of a JSON file -> entries that this answer adds to its list.
    """

    images: dict[tuple[str, str], Picture | AnyLabels | NDArray[np.bool_]] = field(default_factory=dict)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@singledispatch
def results_of(prediction: Prediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    """What is written of a combined prediction with the queries of its group: nothing of one of an unknown kind.

    A task of one's own says it of its own kind: `@results_of.register` over a function with the annotated kind.
    """
    return Results()


@results_of.register
def _of_label_map(prediction: LabelMapPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    drawn = own_label_map(prediction, queries)
    return Results({("masks", queries[0]["key"]): drawn}, {"masks.json": class_mask_results(prediction, queries)})


@results_of.register
def _of_mask(prediction: MaskPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    drawn = {("masks", item_name(queries[0])): prediction.mask.cpu().numpy()}
    return Results(drawn, {"masks.json": [mask_result(prediction)]})


@results_of.register
def _of_image(prediction: ImagePrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    return Results({("pictures", queries[0]["key"]): to_picture(prediction.picture)})


@results_of.register
def _of_keypoints(prediction: KeypointPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    number, category = picture_number(queries[0]), queries[0].get("category_id", 1)
    return Results(lists={"keypoints.json": [coco_keypoint_result(prediction, image_id=number, category_id=category)]})


@results_of.register
def _of_boxes(prediction: BoxPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    number = picture_number(queries[0])
    return Results(lists={"detections.json": coco_detection_results(prediction, image_id=number)})


@results_of.register
def _of_instances(prediction: InstancesPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    number = picture_number(queries[0])
    return Results(lists={"instances.json": coco_instance_results(prediction, image_id=number)})


@results_of.register
def _of_class(prediction: ClassPrediction, queries: Sequence[Mapping[str, Any]]) -> Results:
    number = picture_number(queries[0])
    entry = {"key": queries[0]["key"], "image_id": number, "scores": prediction.class_scores}
    return Results(lists={"classes.json": [entry]})


def item_name(query: Mapping[str, Any]) -> str:
    """File name of a group: the sample's key and the item's number."""
    key, _, item = str(query["group"]).rpartition("/")
    return f"{key}_{item}" if key else item
