"""Does a score mean what it says? Expected calibration error, over pixels or over whole answers."""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric, ratio, same_shape
from idiff.predictions import MaskPrediction, MaskTruth
from idiff.types import Prediction, Truth

BINS = 15


def calibration_counts(scores: Tensor, truth: Tensor, *, bins: int = BINS) -> Tensor:
    """Count scores by bins of equal width; counts of several batches may be added up.

    Args:
        scores: float, any shape, in [0, 1].
        truth: bool or 0 and 1, the same shape: what the score is the probability of.
        bins: over [0, 1]; a score on an edge belongs to the bin above it, 1 to the last one.

    Returns:
        float64 (3, bins): how many scores, their sum, how many are true.

    Raises:
        ConfigError: the shapes differ, or there is less than one bin.
    """
    if scores.shape != truth.shape or bins < 1:
        raise ConfigError(
            f"calibration of scores {tuple(scores.shape)} against truth {tuple(truth.shape)} in {bins} bins: expected one "
            "shape and at least 1 bin."
        )
    flat, true = scores.detach().flatten().double(), truth.detach().flatten().double()
    place = (flat * bins).long().clamp(0, bins - 1)
    counts = torch.zeros(3, bins, dtype=torch.float64, device=flat.device)
    return counts.index_add_(1, place, torch.stack([torch.ones_like(flat), flat, true]))


def error_from_counts(counts: Tensor) -> Tensor:
    """Expected calibration error of counts (3, bins), float32 (): the mean gap between score and share of truth; nan of nothing."""
    return ratio((counts[1] - counts[2]).abs().sum(), counts[0].sum())


def calibration_error(scores: Tensor, truth: Tensor, *, bins: int = BINS) -> Tensor:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., arXiv 1706.04599, equation 3).

    Args:
        scores: float, any shape, in [0, 1].
        truth: bool or 0 and 1, the same shape.
        bins: of equal width over [0, 1].

    Returns:
        float32 () in [0, 1], 0 is best; nan of nothing.

    Raises:
        ConfigError: the shapes differ, or there is less than one bin.
    """
    return error_from_counts(calibration_counts(scores, truth, bins=bins))


class CalibrationError(ItemMetric):
    """Expected calibration error over the pixels of all items that have a score map and a mask.

    An item whose prediction has no `scores` adds nothing: label maps and joints are not scored by pixels. For those, or in the
    model's pixels, give score maps and `Batch.answer` to `add`.

    Args:
        bins: of equal width over [0, 1].
    """

    higher_is_better = False
    calibration_counts: Tensor

    def __init__(self, bins: int = BINS) -> None:
        super().__init__()
        self.bins = bins
        self.add_state("calibration_counts", torch.zeros(3, bins, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count the pixels of one item. See `ItemMetric.update`."""
        found, true = self.typed(prediction, truth, (MaskPrediction, MaskTruth))
        if found.scores is not None:
            same_shape(found.scores, true.mask, what="calibration")
            self.add(found.scores, true.mask)

    def add(self, scores: Tensor, truth: Tensor) -> None:
        """Count scores in [0, 1] against truth of the same shape."""
        device = self.calibration_counts.device
        self.calibration_counts += calibration_counts(scores.to(device), truth.to(device), bins=self.bins)

    def compute(self) -> Tensor:
        """The error so far, float32 (); nan of nothing."""
        return error_from_counts(self.calibration_counts)
