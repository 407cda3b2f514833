"""Errors of depth: `absrel delta1 rmse`. Depths are meters along the optical axis, 0 where they are not known."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from idiff.metrics.base import RatioMetric, same_shape
from idiff.predictions import DepthPrediction, DepthTruth
from idiff.types import Prediction, Truth
from idiff.utils.depth_crops import Crop, scored_pixels


class DepthMetric(RatioMetric):
    """A figure of each image over its `scored_pixels`, then the mean over images. Relative depth is aligned first.

    Source: Eigen et al., NIPS 2014. Images without such a pixel are left out. Aligned means: scale and offset are those of the
    least squares in meters over the same pixels (Ranftl et al., TPAMI 2022). Predictions are clamped to `min_depth` and `cap`.

    Args:
        crop: see `scored_pixels`.
        cap: see `scored_pixels`.
        min_depth: see `scored_pixels`.
    """

    higher_is_better = False

    def __init__(self, crop: Crop = "none", cap: float | None = None, min_depth: float = 0.0) -> None:
        super().__init__(type(self).__name__.lower())
        self.crop, self.cap, self.min_depth = crop, cap, min_depth

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found, true = self.typed(prediction, truth, (DepthPrediction, DepthTruth))
        same_shape(found.values, true.depth, what="depth")
        known = scored_pixels(true.depth, crop=self.crop, cap=self.cap, min_depth=self.min_depth)
        if known.any():
            wanted, got = true.depth[known].double(), found.values.to(true.depth.device)[known].double()
            got = aligned(got, wanted) if found.relative else got
            self.add(self.figure(got.clamp(min=self.min_depth, max=self.cap), wanted))

    @abstractmethod
    def figure(self, got: Tensor, wanted: Tensor) -> Tensor:
        """The figure of one image.

        Args:
            got: float64 (N,), meters.
            wanted: float64 (N,), meters > 0.
        """


class AbsRel(DepthMetric):
    """`absrel`: mean of |d - d*| / d*."""

    def figure(self, got: Tensor, wanted: Tensor) -> Tensor:
        """See `DepthMetric.figure`."""
        return ((got - wanted).abs() / wanted).mean()


class RMSE(DepthMetric):
    """`rmse`: root of the mean squared error, in meters."""

    def figure(self, got: Tensor, wanted: Tensor) -> Tensor:
        """See `DepthMetric.figure`."""
        return (got - wanted).square().mean().sqrt()


class Delta1(DepthMetric):
    """`delta1`: share of the pixels with max(d / d*, d* / d) < 1.25."""

    higher_is_better = True

    def figure(self, got: Tensor, wanted: Tensor) -> Tensor:
        """See `DepthMetric.figure`."""
        got = got.clamp(min=1e-9)
        return (torch.maximum(got / wanted, wanted / got) < 1.25).double().mean()


def aligned(got: Tensor, wanted: Tensor) -> Tensor:
    """`got` (N,) with the scale and offset that bring it nearest to `wanted` (N,) in least squares, not below 1 mm."""
    offset = got - got.mean()
    scale = (offset * (wanted - wanted.mean())).sum() / offset.square().sum().clamp(min=1e-12)
    return (wanted.mean() + scale * offset).clamp(min=1e-3)
