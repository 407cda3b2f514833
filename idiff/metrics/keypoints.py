"""How near joints are: OKS average precision (`ap ap50 ap75`) and PCK (`pck`, `pck05`).

True keypoints are (K, 3): x, y in pixels and visibility (0 not labelled, 1 hidden, 2 visible); joints with 0 are not
scored. Predicted ones are (K, 3): x, y, score; NaN where nothing was painted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.average_precision import Person, average_precision, resampled, unpacked
from idiff.metrics.base import ItemMetric, RatioMetric, same_shape
from idiff.metrics.result_formats import place_absent
from idiff.predictions import KeypointPrediction, KeypointTruth
from idiff.types import Prediction, Truth
from idiff.utils.seeds import hash64

BOX_TO_AREA = 0.53
"""Area of a person over the area of its box, where a data set gives no area: CrowdPose's evaluation uses this share."""


class KeypointAP(ItemMetric):
    """`ap ap50 ap75`: OKS average precision with given boxes, by pycocotools (COCO keypoint evaluation).

    Reads `prediction.keypoints`, `prediction.score`, `truth.keypoints`, `truth.sigmas`, `truth.box` and `truth.area`
    (None: 0.53 of the box). People of one `truth.key` are matched together, at most 20 an image, as COCO does. One
    without a labelled joint is one of COCO's ignored people, and its own prediction is left out. People with other
    sigmas are another skeleton: each skeleton is evaluated on its own, and the results are averaged with the number of
    scored people as weight. Equal scores are ordered by a hash of the key, so the result hangs on no order of the
    updates and on no number of ranks.
    """

    ap_people: list[Tensor] | Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("ap_people", [], dist_reduce_fx="cat")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one person. Errors as in `ItemMetric.update`, and where the area is negative or not finite."""
        found, told = self.typed(prediction, truth, (KeypointPrediction, KeypointTruth))
        predicted, true = _keypoints(found, told)
        sigmas, box = told.sigmas, told.box
        if len(sigmas) != len(true):
            raise ConfigError(
                f"'{truth.key}' has {len(true)} joints and {len(sigmas)} OKS sigmas; give one sigma a joint."
            )
        area = box[2] * box[3] * BOX_TO_AREA if told.area is None else told.area
        if not (math.isfinite(area) and area >= 0):
            raise ConfigError(
                f"'{truth.key}' has the area {area}; expected pixels squared, or None to take it from the box."
            )
        person = Person(
            picture=_number(truth.key),
            score=float(prediction.score),
            area=float(area),
            box=box,
            sigmas=tuple(sigmas),
            true=true,
            predicted=place_absent(predicted)[:, :2],
        )
        assert isinstance(self.ap_people, list)
        self.ap_people.append(person.packed().to(self.device))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather people from all ranks. A rank without any sends no numbers, but of the right type."""
        if isinstance(self.ap_people, list) and not self.ap_people:
            self.ap_people = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, Tensor]:
        """`ap`, `ap50`, `ap75`: each float32 () in [0, 1]; nan where nobody has a labelled joint."""
        total = {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}
        scored = 0
        for people in self._skeletons():
            weight = sum(person.labelled > 0 for person in people)
            if weight:
                scored += weight
                for name, value in average_precision(people).items():
                    total[name] += weight * value
        return {
            name: torch.tensor(value / scored if scored else math.nan, device=self.device)
            for name, value in total.items()
        }

    def resampled(self, keys: Sequence[str], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """`compute` of R resamples of the images. All ranks must call it together.

        Args:
            keys: every `truth.key` that was counted, each once.
            counts: int64 (R, N), how often each resample has each key.

        Returns:
            `ap`, `ap50`, `ap75`: each float64 (R,); nan where nobody has a labelled joint.
        """
        drawn = dict(zip((_number(key) for key in keys), counts.T, strict=True))
        total, scored = np.zeros((3, len(counts))), np.zeros(len(counts))
        with self.sync_context():
            for people in self._skeletons():
                weight = sum((drawn[person.picture] for person in people if person.labelled), np.zeros(len(counts)))
                total += np.nan_to_num(resampled(people, drawn)) * weight
                scored += weight
        share = np.divide(total, scored, out=np.full_like(total, math.nan), where=scored > 0)
        return dict(zip(("ap", "ap50", "ap75"), share, strict=True))

    def _skeletons(self) -> list[list[Person]]:
        """All people, those with the same sigmas together, in an order that depends on nothing but them."""
        parts = [self.ap_people] if isinstance(self.ap_people, Tensor) else self.ap_people
        records = torch.cat([*parts, torch.zeros(0, dtype=torch.float64, device=self.device)])
        skeletons: dict[tuple[float, ...], list[Person]] = {}
        for person in sorted(unpacked(records.cpu()), key=lambda person: person.packed().tolist()):
            skeletons.setdefault(person.sigmas, []).append(person)
        return list(skeletons.values())


class PCK(RatioMetric):
    """Percentage of correct keypoints (Yang and Ramanan, 2013): labelled joints within a part of the box's longer side.

    `pck` is PCK(0.1), `pck05` PCK(0.05). Reads `prediction.keypoints`, `truth.keypoints` and `truth.box`. An absent
    joint is wrong. The result is nan where no joint is labelled.

    Args:
        threshold: part of the longer side of the box.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__(f"pck_{threshold:g}".replace(".", "_"))
        self.threshold = threshold

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one person's joints. Errors as in `ItemMetric.update`."""
        found, told = self.typed(prediction, truth, (KeypointPrediction, KeypointTruth))
        predicted, true = _keypoints(found, told)
        _, _, width, height = told.box
        distance = (predicted[:, :2] - true[:, :2]).square().sum(dim=1).sqrt()
        labelled = true[:, 2] > 0
        near = distance <= self.threshold * max(width, height)
        self.add((near & labelled).sum(), labelled.sum())


def _number(key: str) -> int:
    """An image's number, made of its key: the 53 bits that a float64 holds exactly."""
    return hash64(key) >> 10


def _keypoints(prediction: KeypointPrediction, truth: KeypointTruth) -> tuple[Tensor, Tensor]:
    """Predicted and true keypoints, float64 (K, 3) on the CPU; joints that are not labelled are zero in the truth."""
    predicted, true = prediction.keypoints.cpu().double(), truth.keypoints.cpu().double()
    same_shape(predicted, true, what=f"the keypoints of '{truth.key}'")
    return predicted, torch.where(true[:, 2:] > 0, true, 0.0)
