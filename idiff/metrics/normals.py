"""Angles between surface normals: `mean_angle median_angle within_11 within_22 within_30`, in degrees and shares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from idiff.metrics.base import ItemMetric, RatioMetric, same_shape
from idiff.predictions import MapPrediction, NormalsTruth
from idiff.types import Prediction, Truth

WITHIN = {"within_11": 11.25, "within_22": 22.5, "within_30": 30.0}
"""Name of a share -> degrees."""

BINS = 1800
"""Of the angles from 0 to 180 degrees, for the median: a tenth of a degree each."""


def angles(prediction: MapPrediction, truth: NormalsTruth) -> Tensor:
    """The angle between predicted and true normal of each known pixel: float64 (N,), degrees."""
    same_shape(prediction.values, truth.normals, what="normals")
    known = truth.normals.abs().sum(dim=-1) > 0
    got, wanted = (
        F.normalize(each[known].double(), dim=-1) for each in (prediction.values.to(truth.normals), truth.normals)
    )
    return torch.rad2deg(torch.atan2(torch.linalg.cross(got, wanted).norm(dim=-1), (got * wanted).sum(dim=-1)))


class MeanAngle(RatioMetric):
    """`mean_angle`: mean angle over the known pixels of all images, in degrees. Source: Fouhey et al., ICCV 2013."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__("mean_angle")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found = angles(*self.typed(prediction, truth, (MapPrediction, NormalsTruth)))
        self.add(found.sum(), found.numel())


class WithinAngle(RatioMetric):
    """Share of the known pixels of all images whose angle is smaller than `degrees`."""

    def __init__(self, name: str, degrees: float) -> None:
        super().__init__(name)
        self.degrees = degrees

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found = angles(*self.typed(prediction, truth, (MapPrediction, NormalsTruth)))
        self.add((found < self.degrees).sum(), found.numel())


class MedianAngle(ItemMetric):
    """`median_angle`: median angle over the known pixels of all images, in degrees, to a twentieth: it is the middle of its bin."""

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__()
        self.add_state("median_angle_counts", torch.zeros(BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found = angles(*self.typed(prediction, truth, (MapPrediction, NormalsTruth)))
        bins = (found * (BINS / 180)).long().clamp(0, BINS - 1)
        self.median_angle_counts = self._counts() + torch.bincount(bins, minlength=BINS).to(self._counts().device)

    def compute(self) -> Tensor:
        """Degrees, float32 (); nan where nothing was counted."""
        counts = self._counts()
        half = (counts.cumsum(0) >= (counts.sum() + 1) // 2).int().argmax()
        return torch.where(counts.sum() > 0, (half + 0.5) * 180 / BINS, torch.nan).float()

    def _counts(self) -> Tensor:
        return dim_zero_cat(self.median_angle_counts)
