"""What the model says about one image, in words, numbers and images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.predictions import (
    ClassMasksPrediction,
    ImagePrediction,
    InstancesPrediction,
    KeypointPrediction,
    MapPrediction,
    MaskPrediction,
)
from idiff.tasks.base import Task
from idiff.tasks.common.skeleton import joint_words
from idiff.types import Picture, Prediction, Triplet
from idiff.utils.masks import mask_entry
from idiff.utils.painting import Rgb, class_color
from idiff.utils.picture_files import encode_png
from idiff.utils.strings import normalise_prompt

UNFAMILIAR = 0.5
"""Below this out-of-distribution score an answer comes with a warning."""

_SAID = {"referring": "segment", "segmentation": "segment", "editing": "edit"}
"""What kinds of tasks are called for people: as the commands."""


@dataclass(slots=True, repr=False)
class Answer:
    """What the model says about an image.

    Attributes:
        task: kind of the task. prompts: what the model was told.
        picture: uint8 (H, W, 3), what was asked about.
        overlay: uint8 (H, W, 3), the answer drawn over it; for edits and restoration the new image.
        score: confidence in [0, 1]: of the decoder, times out-of-distribution score where the model knows its own images; None for
            edits and restoration, where nothing says how good they are.
        ood_score: in [0, 1], how like the images it was trained on; None where the model does not
            say. For restoration: like the damaged ones.
        notice: a sentence or two where the answer should not be trusted; else None.
        mask: bool (H, W), of segmentation.
        keypoints: name -> (x, y, score) in the image's pixels, of keypoints that were found.
        instances: (mask bool (H, W), score) of each object, the surest first, of instance segmentation.
        text: what was asked, in the words of the person who asked.
        painted: uint8 (H, W, 3), what the model painted for each prompt, laid on the image.
        colors: name -> color that stands for it in the overlay.
        values: float32 (H, W) or (H, W, 3), of depth in meters, of normals unit vectors.
        stored: end of a file's name -> uint8 or uint16 array that holds the values in a file.

    `print(answer)` is one line; a notebook shows `idiff.pipeline.overlay.drawn`.
    """

    task: str
    prompts: list[str]
    picture: Picture
    overlay: Picture
    score: float | None
    ood_score: float | None = None
    notice: str | None = None
    mask: NDArray[np.bool_] | None = None
    keypoints: dict[str, tuple[float, float, float]] | None = None
    instances: list[tuple[NDArray[np.bool_], float]] | None = None
    text: str = ""
    painted: list[Picture] = field(default_factory=list)
    colors: dict[str, Rgb] = field(default_factory=dict)
    values: NDArray[np.float32] | None = None
    stored: dict[str, NDArray[Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: what was asked, what was found, how sure the model is."""
        height, width = self.picture.shape[:2]
        found = f"a new image of {width} x {height} pixels"
        if self.mask is not None:
            count = int(self.mask.sum())
            found = f"{count:,} pixels ({count / self.mask.size:.1%})" if count else "nothing in the image fits"
        elif self.keypoints is not None:
            found = f"{len(self.keypoints)} found"
        elif self.instances is not None:
            found = f"{len(self.instances)} found"
        elif self.values is not None:
            unit = " m" if self.task == "depth" else ""
            span = f", {self.values.min():.2f} to {self.values.max():.2f}{unit}" if self.values.ndim == 2 else ""
            found = f"a map of {width} x {height} pixels{span}"
        score = "" if self.score is None else f", score {self.score:.2f}"
        asked = f" '{normalise_prompt(self.text)}'" if self.text not in {"", self.task} else ""
        return f"{_SAID.get(self.task, self.task)}{asked}: {found}{score}"

    def _repr_png_(self) -> bytes:
        """The drawn answer as PNG: what a notebook shows."""
        from idiff.pipeline.overlay import drawn

        return encode_png(drawn(self))

    def show(self, *, compare: bool = False) -> None:
        """Show the drawn answer: in a notebook in its place, elsewhere in the system's image viewer.

        Args:
            compare: what was asked about stands on the left.
        """
        from PIL import Image

        from idiff.pipeline.overlay import drawn

        page = Image.fromarray(drawn(self, compare=compare))
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            page.show()
            return
        if get_ipython() is None:
            page.show()
        else:
            display(page)


def answer_of(
    task: Task,
    pixels: Picture,
    triplets: Sequence[Triplet],
    prediction: Prediction,
    *,
    ood_score: float | None,
    joints: Sequence[str] = (),
    text: str = "",
    painted: Sequence[Picture] = (),
) -> Answer:
    """Put an answer into words and images. `joints` are those that the model was trained on; none where that is not known."""
    colors: dict[str, Rgb] = {}
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
        colors = {name: class_color(index) for index, name in names.items() if name in points}
    if mask is not None:
        given = triplets[0].query.get("rgb") if isinstance(prediction, MaskPrediction) else None
        rgb = given or class_color(next(iter(getattr(prediction, "masks", {})), 0))
        shown = {normalise_prompt(text) or task.kind: (int(rgb[0]), int(rgb[1]), int(rgb[2]))}
        colors = shown if mask.any() else {}
    sure = 1.0 if ood_score is None else ood_score
    instances = None
    if isinstance(prediction, InstancesPrediction):
        masks, scores = prediction.masks.cpu().numpy(), prediction.sure.tolist()
        instances = [(mask, score * sure) for mask, score in zip(masks, scores, strict=True)]
        colors = {f"{normalise_prompt(text)} {place + 1}": class_color(place) for place in range(len(masks))}
    notices = [
        notice_of(ood_score),
        _new_joints(triplets, joints),
        _all_colors(prediction),
        _one_phrase(prediction, text),
    ]
    return Answer(
        task=task.kind,
        prompts=[triplet.instruction for triplet in triplets],
        picture=pixels,
        overlay=task.render(prediction, pixels),
        score=None if isinstance(prediction, ImagePrediction) else prediction.score * sure,
        ood_score=ood_score,
        notice=" ".join(filter(None, notices)) or None,
        mask=mask,
        keypoints=points,
        instances=instances,
        text=text,
        painted=list(painted),
        colors=colors,
        values=prediction.values.cpu().numpy() if isinstance(prediction, MapPrediction) else None,
        stored=task.stored(prediction),
    )


def notice_of(ood_score: float | None) -> str | None:
    """The warning that comes with an answer about an unfamiliar image."""
    if ood_score is None or ood_score >= UNFAMILIAR:
        return None
    return "This image is unlike those the model was trained on: do not trust the answer."


def _new_joints(triplets: Sequence[Triplet], joints: Sequence[str]) -> str | None:
    """The warning that comes with joints that the model was not trained on."""
    known = {joint_words(name) for name in joints}
    new = dict.fromkeys(name for one in triplets for name in one.query.get("joints", ()) if name not in known)
    if not known or not new:
        return None
    return f"The model was not trained on {', '.join(new)}: do not trust these joints. It knows {', '.join(sorted(known))}."


def _all_colors(prediction: Prediction) -> str | None:
    """The warning that comes with as many objects as there are colors for them."""
    if not isinstance(prediction, InstancesPrediction) or len(prediction.masks) < len(prediction.query["rgbs"]):
        return None
    return f"All {len(prediction.query['rgbs'])} colors are in use: there may be more objects than were painted."


def _one_phrase(prediction: Prediction, text: str) -> str | None:
    """The warning that comes with what may be several names: they are asked for as one."""
    if "," not in text or not isinstance(prediction, MaskPrediction | ClassMasksPrediction | InstancesPrediction):
        return None
    return f"'{normalise_prompt(text)}' was asked for as one phrase: ask for several things one by one."


def to_coco(answer: Answer, *, image_id: int) -> list[dict[str, Any]]:
    """Keypoints, a mask or instances in COCO's results format, with names beside them; nothing for others and for an empty mask."""
    entry: dict[str, Any] = {"image_id": image_id, "category_id": 1}
    if answer.keypoints is not None:
        flat = [round(value, 3) for point in answer.keypoints.values() for value in point]
        entry |= {"keypoints": flat, "names": list(answer.keypoints)}
    elif answer.instances is not None:
        return [
            entry | mask_entry(mask) | {"name": answer.text, "score": round(score, 4)}
            for mask, score in answer.instances
        ]
    elif answer.mask is not None and answer.mask.any():
        entry |= mask_entry(answer.mask) | {"name": answer.text}
    else:
        return []
    return [entry | {"score": round(answer.score or 0.0, 4)}]
