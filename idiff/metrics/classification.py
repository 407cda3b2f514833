"""How often the class of an image is right: top-1 accuracy and its mean over classes. Results lie in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric, RatioMetric, ratio
from idiff.predictions import ClassPrediction, ClassTruth
from idiff.types import Prediction, Truth

MOST_CLASSES = 1000
"""Classes that the mean over classes can tell apart (ImageNet's number)."""


def top1(scores: dict[int, float]) -> int | None:
    """The class with the highest score; of equals the one with the least index. None where no class has a score above 0.

    Args:
        scores: class index -> score in [0, 1].
    """
    best = max(scores, key=lambda index: (scores[index], -index), default=None)
    return best if best is not None and scores[best] > 0 else None


def balanced_accuracy(right: Tensor, total: Tensor) -> Tensor:
    """Mean over the classes that occur of the share of their images that is right (macro-averaged recall).

    Args:
        right: int64 (N,): images of each class that were answered rightly.
        total: int64 (N,): images of each class.

    Returns:
        float32 () in [0, 1]; nan where no image was counted.
    """
    return ratio(right, total).nanmean()


class Top1Accuracy(RatioMetric):
    """`accuracy`: share of images whose class has the highest score. No answer is a wrong answer.

    Reads `prediction.class_scores` and `truth.category`.
    """

    def __init__(self) -> None:
        super().__init__("accuracy")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`."""
        answer, category = _answer(prediction, truth, metric=self)
        self.add(int(answer == category))


class BalancedAccuracy(ItemMetric):
    """`balanced_accuracy`: mean over classes of the accuracy on their images, so that frequent classes weigh no more.

    Reads `prediction.class_scores` and `truth.category`; class indices lie below 1000.
    """

    balanced_right: Tensor
    balanced_total: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("balanced_right", "balanced_total"):
            self.add_state(name, torch.zeros(MOST_CLASSES, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`, and where the class index is out of range."""
        answer, category = _answer(prediction, truth, metric=self)
        if not 0 <= category < MOST_CLASSES:
            raise ConfigError(
                f"'{truth.key}' has the class index {category}, expected 0 to {MOST_CLASSES - 1}. Fold the set's classes."
            )
        more = torch.zeros(MOST_CLASSES, dtype=torch.int64, device=self.balanced_total.device)
        more[category] = 1
        self.balanced_total = self.balanced_total + more
        self.balanced_right = self.balanced_right + more * int(answer == category)

    def compute(self) -> Tensor:
        """The mean over classes, float32 () in [0, 1]; nan where no image was counted."""
        return balanced_accuracy(self.balanced_right, self.balanced_total)


def _answer(prediction: Prediction, truth: Truth, *, metric: ItemMetric) -> tuple[int | None, int]:
    """The predicted class, or None, and the true one."""
    found, true = metric.typed(prediction, truth, (ClassPrediction, ClassTruth))
    if true.category is None:
        raise ConfigError(f"the class of '{truth.key}' is unknown: {type(metric).__name__} needs it. Leave it out.")
    return top1(found.class_scores), true.category
