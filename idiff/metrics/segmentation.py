"""Intersection over union in the ways the field reports it: `miou mciou ciou giou n_acc`.

Label maps are integers (H, W) with 255 = void, those of uint16 with 65535; masks are bool (H, W). Void pixels are
counted nowhere. Every result lies in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.errors import ConfigError
from idiff.metrics.base import ItemMetric, RatioMetric, ratio, same_shape
from idiff.predictions import ClassMasksPrediction, LabelMapPrediction, LabelMapTruth, MaskPrediction, MaskTruth, expect
from idiff.types import MOST_CLASSES, Prediction, Truth, void_of

ONE_CLASS = "the label maps of the set hold one class alone, so that any answer of it would be right: check --data"
"""Why a mean over classes is nan."""


def label_counts(predicted: Tensor, true: Tensor) -> Tensor:
    """Count pixels by label: those where both agree, those of the truth, those of the prediction.

    Args:
        predicted: integer (H, W); void = no answer, which counts as a miss.
        true: integer (H, W); void is left out, whatever is predicted there.

    Returns:
        int64 (3, `MOST_CLASSES`).

    Raises:
        ConfigError: the shapes differ, or a label is less than 0, or no less than `MOST_CLASSES`.
    """
    same_shape(predicted, true, what="label maps")
    counted = true != void_of(true)
    rows, columns = true[counted].long(), predicted[counted].long()
    answered = columns[columns != void_of(predicted)]
    for name, labels in (("predicted", answered), ("true", rows)):
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < MOST_CLASSES:
            span = f"[{int(labels.min())}, {int(labels.max())}]"
            raise ConfigError(
                f"{name} labels span {span}; expected [0, {MOST_CLASSES - 1}]. "
                f"Fold the set's classes to at most {MOST_CLASSES}."
            )
    alike = (rows == columns) & (columns != void_of(predicted))
    return torch.stack([torch.bincount(one, minlength=MOST_CLASSES) for one in (rows[alike], rows, answered)])


def iou_of_counts(counts: Tensor) -> Tensor:
    """IoU of each class.

    Args:
        counts: int64 (3, N) as `label_counts` counts them, summed over any number of images.

    Returns:
        float32 (N,) in [0, 1]; nan for a class in neither truth nor prediction.
    """
    hits, true, predicted = counts
    return ratio(hits, true + predicted - hits)


def intersection_and_union(predicted: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels in both masks, and in either: two int64 ().

    Args:
        predicted: bool (H, W).
        true: bool (H, W).

    Raises:
        ConfigError: the shapes differ.
    """
    same_shape(predicted, true, what="masks")
    predicted, true = predicted.bool(), true.bool()
    return (predicted & true).sum(), (predicted | true).sum()


class MeanIoU(ItemMetric):
    """`miou`: the data-set mIoU of semantic segmentation (Pascal VOC, Cityscapes): pixels are counted over all images.

    Reads `prediction.labels` and `truth.labels`, both integer (H, W). Not the mean over images of an image's mIoU. nan where all
    truth together holds one class alone: whoever answers that class everywhere would be perfect.
    """

    miou_counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("miou_counts", torch.zeros(3, MOST_CLASSES, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`."""
        found, true = self.typed(prediction, truth, (LabelMapPrediction, LabelMapTruth))
        device = self.miou_counts.device
        self.miou_counts = self.miou_counts + label_counts(found.labels.to(device), true.labels.to(device))

    def compute(self) -> Tensor:
        """The mean IoU, float32 () in [0, 1]; nan where no pixel was counted, or pixels of one class alone."""
        mean = iou_of_counts(self.miou_counts).nanmean()
        return torch.where(self._classes() == 1, torch.nan, mean)

    def reason(self) -> str:
        """See `ItemMetric.reason`. All ranks must call it together."""
        with self.sync_context():
            return ONE_CLASS if self._classes() == 1 else ""

    def _classes(self) -> Tensor:
        """How many classes the truth holds, int64 ()."""
        return (self.miou_counts[1] > 0).sum()

    def per_class(self) -> Tensor:
        """IoU by class index, float32 (N,); nan for a class never met. All ranks must call it together."""
        with self.sync_context():
            return iou_of_counts(self.miou_counts)


class MeanClassIoU(ItemMetric):
    """`mciou`: each class asked on its own, intersection and union summed by class over the set, mean over classes.

    InstructDiffusion reports semantic segmentation so; it is not comparable with `miou`. Of the asked classes, the keys
    of `prediction.masks` (index -> bool (H, W)), those in `truth.labels` and the one `truth.absent` count. A class that
    was not asked, such as a background, does not. Classes with an empty union are left out of the mean; where only such
    were asked, every one was rightly left unpainted, and the result is 1. nan where all truth together holds one class
    alone, unless both it and others were asked: painting everything, or nothing, would be perfect.
    """

    mciou_seen: Tensor
    mciou_intersection: Tensor
    mciou_union: Tensor
    mciou_queries: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("mciou_intersection", "mciou_union", "mciou_queries", "mciou_seen"):
            self.add_state(name, torch.zeros(MOST_CLASSES, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image. Errors as in `ItemMetric.update`."""
        found, true = self.typed(prediction, truth, (ClassMasksPrediction, LabelMapTruth))
        masks, labels = found.masks, true.labels.to(self.mciou_union.device)
        counted = labels != void_of(labels)
        present = torch.bincount(labels[counted].long(), minlength=MOST_CLASSES) > 0
        wanted = set(present.nonzero().flatten().tolist())
        self.mciou_seen = self.mciou_seen + present
        if true.absent is not None and bool(counted.any()):
            wanted.add(true.absent)
        more = torch.zeros(3, MOST_CLASSES, dtype=torch.int64, device=labels.device)
        for index in sorted(wanted & set(masks)):
            mask = masks[index].to(labels.device)
            same_shape(mask, labels, what=f"the mask of class {index} of '{truth.key}'")
            intersection, union = intersection_and_union(mask.bool() & counted, labels == index)
            more[:, index] = torch.stack([intersection, union, torch.ones_like(union)])
        self.mciou_intersection = self.mciou_intersection + more[0]
        self.mciou_union = self.mciou_union + more[1]
        self.mciou_queries = self.mciou_queries + more[2]

    def compute(self) -> Tensor:
        """The mean over classes, float32 () in [0, 1]; nan where no class was asked; see also above."""
        if self._one_class():
            return torch.full((), torch.nan, device=self.mciou_union.device)
        if not self.mciou_union.any() and self.mciou_queries.any():
            return torch.ones((), device=self.mciou_union.device)
        return ratio(self.mciou_intersection, self.mciou_union).nanmean()

    def reason(self) -> str:
        """See `ItemMetric.reason`. All ranks must call it together."""
        with self.sync_context():
            return ONE_CLASS if self._one_class() else ""

    def _one_class(self) -> bool:
        seen, asked = self.mciou_seen > 0, self.mciou_queries > 0
        both = bool((asked & seen).any()) and bool((asked & ~seen).any())
        return int(seen.sum()) == 1 and bool(asked.any()) and not both

    def per_class(self) -> Tensor:
        """IoU by class index, float32 (N,); nan where its union is empty. All ranks must call it together."""
        with self.sync_context():
            return ratio(self.mciou_intersection, self.mciou_union)


class CumulativeIoU(ItemMetric):
    """`ciou`: all intersections over all unions, of referring segmentation (RefCOCO; called oIoU elsewhere).

    Reads `prediction.mask` and `truth.mask`, both bool (H, W). A right empty answer adds nothing; where all are such,
    the result is 1.
    """

    ciou_intersection: Tensor
    ciou_union: Tensor
    ciou_queries: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("ciou_intersection", "ciou_union", "ciou_queries"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one query. Errors as in `ItemMetric.update`."""
        intersection, union = intersection_and_union(*_masks(prediction, truth, metric=self))
        self.ciou_intersection = self.ciou_intersection + intersection.to(self.ciou_intersection.device)
        self.ciou_union = self.ciou_union + union.to(self.ciou_union.device)
        self.ciou_queries = self.ciou_queries + 1

    def compute(self) -> Tensor:
        """The cumulative IoU, float32 () in [0, 1]; nan where nothing was asked."""
        if self.ciou_queries > 0 and self.ciou_union == 0:
            return torch.ones((), device=self.ciou_union.device)
        return ratio(self.ciou_intersection, self.ciou_union)


class HeldOutIoU(CumulativeIoU):
    """`ciou_held_out`: `ciou` of the queries whose truth says `held_out`: training never used their words together.

    nan where there is none.
    """

    held_out_queries: Tensor

    def __init__(self) -> None:
        super().__init__()
        # a state of its own: a collection shares the states of metrics whose states are equal after the first update
        self.add_state("held_out_queries", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one query, if it is held out. Errors as in `ItemMetric.update`."""
        if expect(truth, MaskTruth, by="HeldOutIoU", key=truth.key).held_out:
            super().update(prediction, truth)
            self.held_out_queries = self.held_out_queries + 1


class MeanMaskIoU(RatioMetric):
    """`giou`: mean over queries of a query's IoU; empty against empty is 1 (GRES, Liu et al., CVPR 2023)."""

    def __init__(self) -> None:
        super().__init__("giou")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one query: `prediction.mask` and `truth.mask`, bool (H, W). Errors as in `ItemMetric.update`."""
        intersection, union = intersection_and_union(*_masks(prediction, truth, metric=self))
        self.add(intersection.double() / union if union > 0 else 1.0)


class NoTargetAccuracy(RatioMetric):
    """`n_acc`: share of the no-target queries that were answered with an empty mask (GRES, Liu et al., CVPR 2023).

    nan where no query is without a target.
    """

    def __init__(self) -> None:
        super().__init__("n_acc")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one query: `prediction.mask` and `truth.mask`, bool (H, W). Errors as in `ItemMetric.update`."""
        predicted, true = _masks(prediction, truth, metric=self)
        if not true.any():
            self.add(float(not predicted.any()))


def _masks(prediction: Prediction, truth: Truth, *, metric: ItemMetric) -> tuple[Tensor, Tensor]:
    """Predicted and true mask on the predicted one's device, checked."""
    found, true = metric.typed(prediction, truth, (MaskPrediction, MaskTruth))
    same_shape(found.mask, true.mask, what=f"the mask of '{truth.key}'")
    return found.mask, true.mask.to(found.mask.device)
