"""Blind baselines: the floor that every score is read against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from idiff.predictions import (
    BoxPrediction,
    BoxTruth,
    ClassPrediction,
    ClassTruth,
    InstancesPrediction,
    InstancesTruth,
    KeypointPrediction,
    KeypointTruth,
    LabelMapPrediction,
    LabelMapTruth,
    MaskPrediction,
    MaskTruth,
)
from idiff.tasks.common.objects import extremes, filled
from idiff.types import MOST_CLASSES, Prediction, Truth, void_of
from idiff.utils.masks import decode_mask

Guess = tuple[str, Callable[[dict[str, Any]], Prediction]]
"""A name, and a function from a group's first query to a combined prediction."""


def largest_class(truths: Iterable[Truth]) -> Guess | None:
    """The class with the most pixels, everywhere; None where no pixel has a class."""
    counts, kind = torch.zeros(MOST_CLASSES, dtype=torch.int64), torch.uint8
    for truth in truths:
        if isinstance(truth, LabelMapTruth):
            kind = truth.labels.dtype
            known = truth.labels[truth.labels != void_of(truth.labels)]
            counts += torch.bincount(known.long().cpu(), minlength=MOST_CLASSES)
    if not counts.any():
        return None
    largest = int(counts.argmax())

    def answer(query: dict[str, Any]) -> Prediction:
        shape = (int(query["size"][0]), int(query["size"][1]))
        asked = (index for index in range(int(query["classes"])) if index != query["background"])
        masks = {index: torch.full(shape, index == largest) for index in asked}
        return LabelMapPrediction(query=query, labels=torch.full(shape, largest, dtype=kind), masks=masks)

    return "largest_class", answer


def everything(truths: Iterable[Truth]) -> Guess | None:
    """All pixels of the image; None where no truth has a mask."""
    if not any(isinstance(truth, MaskTruth) for truth in truths):
        return None

    def answer(query: dict[str, Any]) -> Prediction:
        mask = torch.ones(int(query["size"][0]), int(query["size"][1]), dtype=torch.bool)
        return MaskPrediction(query=query, mask=mask)

    return "everything", answer


def median_boxes(truths: Iterable[Truth]) -> Guess | None:
    """For each class the median of its boxes, as sure as the class is frequent; None where no truth has a box."""
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    for truth in truths:
        for row in truth.boxes.cpu().double().numpy() if isinstance(truth, BoxTruth) else ():
            boxes.setdefault(int(row[4]), []).append(row[:4])
    if not boxes:
        return None
    most = max(len(rows) for rows in boxes.values())
    found = [[*np.median(rows, axis=0).tolist(), len(rows) / most, index] for index, rows in sorted(boxes.items())]
    found.sort(key=lambda row: -row[4])
    guessed = torch.tensor(found, dtype=torch.float32)
    return "median_box", lambda query: BoxPrediction(query=query, score=1.0, boxes=guessed.clone())


def median_masks(truths: Iterable[Truth]) -> Guess | None:
    """For each class the median box of its objects as shares of the image, filled, as sure as the class is frequent."""
    boxes: dict[int, list[NDArray[np.float64]]] = {}
    for truth in truths:
        for mask, index in zip(truth.masks, truth.classes, strict=True) if isinstance(truth, InstancesTruth) else ():
            height, width = mask["size"]
            boxes.setdefault(index, []).append(np.array(extremes(decode_mask(mask))) / (width, height, width, height))
    if not boxes:
        return None
    most = max(map(len, boxes.values()))
    found = sorted(((len(rows) / most, index, np.median(rows, axis=0)) for index, rows in boxes.items()), key=_surest)

    def answer(query: dict[str, Any]) -> Prediction:
        height, width = (int(side) for side in query["size"])
        masks = [filled((box * (width, height, width, height)).tolist(), (height, width)) for _, _, box in found]
        return InstancesPrediction(
            query=query,
            score=1.0,
            masks=torch.from_numpy(np.stack(masks)),
            sure=torch.tensor([row[0] for row in found]),
            classes=torch.tensor([row[1] for row in found]),
        )

    return "median_box", answer


def _surest(row: tuple[float, int, NDArray[np.float64]]) -> tuple[float, int]:
    return -row[0], row[1]


def most_frequent(truths: Iterable[Truth]) -> Guess | None:
    """The class of most images, of equals the one with the least index; None where no truth has a class."""
    counts: dict[int, int] = {}
    for truth in truths:
        if isinstance(truth, ClassTruth) and truth.category is not None:
            counts[truth.category] = counts.get(truth.category, 0) + 1
    if not counts:
        return None
    most = max(counts, key=lambda index: (counts[index], -index))
    return "most_frequent", lambda query: ClassPrediction(query=query, score=1.0, class_scores={most: 1.0})


def mean_pose(truths: Iterable[Truth]) -> Guess | None:
    """The median pose, stretched into the given box, for each number of joints; None where nobody is given."""
    poses: dict[int, list[NDArray[np.float64]]] = {}
    for truth in truths:
        if isinstance(truth, KeypointTruth):
            joints = truth.keypoints.double().numpy()
            x, y, width, height = truth.box
            relative = (joints[:, :2] - (x, y)) / (max(width, 1e-6), max(height, 1e-6))
            poses.setdefault(len(joints), []).append(np.where(joints[:, 2:] > 0, relative, np.nan))
    if not poses:
        return None
    medians = {count: _median(np.stack(rows)) for count, rows in poses.items()}

    def answer(query: dict[str, Any]) -> Prediction:
        count = int(query["total"])
        x, y, width, height = query["box"]
        points = torch.ones(count, 3)
        relative = medians.get(count, np.full((count, 2), 0.5))
        points[:, :2] = torch.from_numpy(relative * (width, height) + (x, y)).float()
        return KeypointPrediction(query=query, score=1.0, keypoints=points)

    return "mean_pose", answer


def _median(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median place of each joint over people, (N, K, 2) to (K, 2); the box's middle for one that nobody labelled."""
    middle = np.full(poses.shape[1:], 0.5)
    ever = np.isfinite(poses).any(axis=(0, 2))
    middle[ever] = np.nanmedian(poses[:, ever], axis=0)
    return middle
