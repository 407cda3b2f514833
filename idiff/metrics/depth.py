"""Errors of depth: `absrel delta1 rmse`. Depths are meters along the optical axis, 0 where they are not known."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from idiff.metrics.base import RatioMetric, same_shape
from idiff.predictions import DepthPrediction, DepthTruth
from idiff.types import Prediction, Truth


class DepthMetric(RatioMetric):
    """A figure of each image over the pixels whose depth is known, then the mean over images. Relative depth is aligned first.

    Source: Eigen et al., NIPS 2014. Images without a known depth are left out. Aligned means: scale and offset are those of the
    least squares in meters (Ranftl et al., TPAMI 2022).
    """

    higher_is_better = False

    def __init__(self) -> None:
        super().__init__(type(self).__name__.lower())

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found, true = self.typed(prediction, truth, (DepthPrediction, DepthTruth))
        same_shape(found.values, true.depth, what="depth")
        known = true.depth > 0
        if known.any():
            wanted, got = true.depth[known].double(), found.values.to(true.depth.device)[known].double()
            self.add(self.figure(aligned(got, wanted) if found.relative else got, wanted))

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
