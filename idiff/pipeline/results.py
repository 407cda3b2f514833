"""What the model says about one image, in words, numbers and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.predictions import ClassMasksPrediction, KeypointPrediction, MaskPrediction
from idiff.tasks.base import Task
from idiff.tasks.common.skeleton import joint_words
from idiff.types import Picture, Prediction, Triplet

UNFAMILIAR = 0.5
"""Below this out-of-distribution score an answer comes with a warning."""


@dataclass(slots=True)
class Answer:
    """What the model says about an image.

    Attributes:
        task: kind of the task. prompts: what the model was told.
        picture: uint8 (H, W, 3), what was asked about.
        overlay: uint8 (H, W, 3), the answer drawn over it; for edits and restoration the new image.
        score: confidence in [0, 1]: of the decoder, times out-of-distribution score where the model knows its own images.
        ood_score: in [0, 1], how like the images it was trained on; None where the model does not
            say. For restoration: like the damaged ones.
        notice: a sentence or two where the answer should not be trusted; else None.
        mask: bool (H, W), of segmentation.
        keypoints: name -> (x, y, score) in the image's pixels, of keypoints that were found.
    """

    task: str
    prompts: list[str]
    picture: Picture
    overlay: Picture
    score: float
    ood_score: float | None = None
    notice: str | None = None
    mask: NDArray[np.bool_] | None = None
    keypoints: dict[str, tuple[float, float, float]] | None = None


def answer_of(
    task: Task,
    pixels: Picture,
    triplets: Sequence[Triplet],
    prediction: Prediction,
    *,
    ood_score: float | None,
    joints: Sequence[str] = (),
) -> Answer:
    """Put an answer into words and images. `joints` are those that the model was trained on; none where that is not known."""
    mask = points = None
    if isinstance(prediction, MaskPrediction):
        mask = prediction.mask.cpu().numpy()
    elif isinstance(prediction, ClassMasksPrediction):
        mask = next(iter(prediction.masks.values())).cpu().numpy()
    elif isinstance(prediction, KeypointPrediction):
        names = {
            index: name
            for one in triplets
            for index, name in zip(one.query["indices"], one.query["joints"], strict=True)
        }
        rows = prediction.keypoints.tolist()
        points = {names[index]: (x, y, s) for index, (x, y, s) in enumerate(rows) if index in names and x == x}  # noqa: PLR0124
    return Answer(
        task=task.kind,
        prompts=[triplet.instruction for triplet in triplets],
        picture=pixels,
        overlay=task.render(prediction, pixels),
        score=prediction.score * (1.0 if ood_score is None else ood_score),
        ood_score=ood_score,
        notice=" ".join(filter(None, [notice_of(ood_score), _new_joints(triplets, joints)])) or None,
        mask=mask,
        keypoints=points,
    )


def notice_of(ood_score: float | None) -> str | None:
    """The warning that comes with an answer about an unfamiliar image."""
    if ood_score is None or ood_score >= UNFAMILIAR:
        return None
    return "This image is unlike those the model was trained on: do not trust the answer."


def _new_joints(triplets: Sequence[Triplet], joints: Sequence[str]) -> str | None:
    """The warning that comes with joints that the model was not trained on."""
    known = {joint_words(name) for name in joints}
    new = [name for one in triplets for name in one.query.get("joints", ()) if name not in known]
    if not known or not new:
        return None
    return f"The model was not trained on {', '.join(new)}: do not trust these joints. It knows {', '.join(sorted(known))}."


def to_coco(answer: Answer, *, image_id: int) -> list[dict[str, Any]]:
    """Keypoints in COCO's results format, with the joints' names beside them."""
    found = answer.keypoints or {}
    flat = [round(value, 3) for point in found.values() for value in point]
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": flat,
            "names": list(found),
            "score": round(answer.score, 4),
        }
    ]
