"""OKS and its average precision, as pure functions over people (COCO keypoint evaluation)."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from idiff.metrics.resampled import resampled_precision
from idiff.metrics.result_formats import place_absent

_HEAD = 8
"""Numbers of a packed person before its joints: K, image, score, area, and four of the box."""


def oks(predicted: Tensor, true: Tensor, *, area: float, sigmas: tuple[float, ...]) -> float:
    """Object keypoint similarity of one person (COCO keypoint evaluation).

    The mean over labelled joints of exp(-d^2 / (2 area (2 sigma)^2)), with d the distance to the true joint.

    Args:
        predicted: float (K, 2) or (K, 3), x and y in pixels; an absent joint (NaN) counts 0.
        true: float (K, 3): x, y, visibility.
        area: of the person, pixels squared.
        sigmas: K of them.

    Returns:
        in [0, 1]; nan where no joint is labelled.
    """
    distance = (place_absent(predicted)[:, :2] - true[:, :2].double()).square().sum(dim=1)
    spread = (2 * torch.tensor(sigmas, dtype=torch.float64)).square()
    near = torch.exp(-distance / (2 * spread * (area + np.spacing(1.0))))
    return float(near[true[:, 2] > 0].mean())


def average_precision(people: list[Person]) -> dict[str, float]:
    """OKS average precision of people of one skeleton, by pycocotools.

    Args:
        people: predictions with their truth, all with the same sigmas; those with one `picture` are matched together.

    Returns:
        `ap` (mean over OKS thresholds 0.50:0.05:0.95), `ap50`, `ap75`, in [0, 1]; nan where nobody has a labelled
        joint.
    """
    evaluation = _evaluated(people)
    if evaluation is None:
        return {"ap": math.nan, "ap50": math.nan, "ap75": math.nan}
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)
    return {"ap": float(precision.mean()), "ap50": float(precision[0]), "ap75": float(precision[5])}


def resampled(people: list[Person], counts: Mapping[int, NDArray[np.int64]]) -> NDArray[np.float64]:
    """`average_precision` of R resamples of the images, see `resampled_precision`.

    Args:
        people: predictions with their truth, all with the same sigmas.
        counts: image -> int64 (R,): how often each resample has it.

    Returns:
        float64 (3, R): `ap`, `ap50`, `ap75`; nan where nobody in a resample has a labelled joint.
    """
    evaluation = _evaluated(people)
    if evaluation is None:
        return np.full((3, len(next(iter(counts.values())))), math.nan)
    return resampled_precision(evaluation, counts)


def _evaluated(people: list[Person]) -> COCOeval | None:
    """Match predictions and truth by image; None where nobody has a labelled joint."""
    truths = [person.coco_truth(number) for number, person in enumerate(people, start=1)]
    results = [person.coco_result() for person in people if person.labelled]
    if not results:
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": picture} for picture in sorted({person.picture for person in people})],
            "categories": [{"id": 1}],
            "annotations": truths,
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(people[0].sigmas)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0.0, math.inf]], ["all"]
        evaluation.evaluate()
    return evaluation


@dataclass(slots=True, frozen=True)
class Person:
    """One person's prediction and truth, float64.

    Attributes:
        picture: the image's number; 53 bits.
        score: of the prediction.
        area: pixels squared.
        box: x, y, w, h.
        sigmas: K.
        true: (K, 3).
        predicted: (K, 2), absent joints placed far off.
    """

    picture: int
    score: float
    area: float
    box: tuple[float, ...]
    sigmas: tuple[float, ...]
    true: Tensor
    predicted: Tensor

    @property
    def labelled(self) -> int:
        """How many joints are labelled."""
        return int((self.true[:, 2] > 0).sum())

    def coco_truth(self, number: int) -> dict[str, Any]:
        """As an annotation of a COCO ground truth with this id."""
        return {
            "id": number,
            "image_id": self.picture,
            "category_id": 1,
            "iscrowd": 0,
            "area": self.area,
            "bbox": list(self.box),
            "keypoints": self.true.flatten().tolist(),
            "num_keypoints": self.labelled,
        }

    def coco_result(self) -> dict[str, Any]:
        """As an entry of a COCO results list. The joints' scores play no part in OKS."""
        joints = torch.cat([self.predicted, torch.ones(len(self.predicted), 1, dtype=torch.float64)], dim=1)
        return {"image_id": self.picture, "category_id": 1, "keypoints": joints.flatten().tolist(), "score": self.score}

    def packed(self) -> Tensor:
        """All of it in one float64 (8 + 6 K,), so that ranks can exchange people of any K in one tensor."""
        head = [len(self.sigmas), self.picture, self.score, self.area, *self.box, *self.sigmas]
        return torch.cat([torch.tensor(head, dtype=torch.float64), self.true.flatten(), self.predicted.flatten()])


def unpacked(records: Tensor) -> Iterator[Person]:
    """Read people back from `Person.packed` records that were joined end to end, float64 (sum of lengths,)."""
    start = 0
    while start < len(records):
        joints, picture, score, area, *box = records[start : start + _HEAD].tolist()
        k = int(joints)
        rest = records[start + _HEAD : start + _HEAD + 6 * k]
        yield Person(
            picture=int(picture),
            score=score,
            area=area,
            box=tuple(box),
            sigmas=tuple(rest[:k].tolist()),
            true=rest[k : 4 * k].reshape(k, 3),
            predicted=rest[4 * k :].reshape(k, 2),
        )
        start += _HEAD + 6 * k
