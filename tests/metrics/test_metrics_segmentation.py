from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as rle
from torchmetrics import MetricCollection

from idiff.errors import ConfigError
from idiff.metrics.segmentation import (
    CumulativeIoU,
    HeldOutIoU,
    MeanClassIoU,
    MeanIoU,
    MeanMaskIoU,
    NoTargetAccuracy,
    iou_of_counts,
    label_counts,
)
from idiff.predictions import ClassMasksPrediction, LabelMapPrediction, LabelMapTruth, MaskPrediction, MaskTruth
from idiff.types import MOST_CLASSES, VOID, WIDE_VOID, Prediction, Truth

SEEDS = st.integers(0, 2**32 - 1)


def label_maps(seed, *, count=3, classes=6, void=0.1):
    """Random predicted and true maps; some classes may be missing, predictions may hold 255 (no answer)."""
    rng = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        shape = tuple(rng.integers(1, 12, 2))
        true = rng.integers(0, classes, shape)
        predicted = np.where(rng.random(shape) < 0.5, true, rng.integers(0, classes + 2, shape))
        true[rng.random(shape) < void] = VOID
        predicted[rng.random(shape) < void] = VOID
        pairs.append((predicted.astype(np.uint8), true.astype(np.uint8)))
    return pairs


def masks(seed, count=6):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 12, 2))
    densities = rng.choice([0.0, 0.2, 0.8, 1.0], size=(count, 2))
    return [tuple(rng.random(shape) < density for density in pair) for pair in densities]


def brute_iou(pairs):
    """Data-set IoU by class, a pixel at a time."""
    seen = {}
    for predicted, true in pairs:
        for p, t in zip(predicted.flat, true.flat, strict=True):
            if t == VOID:
                continue
            for label in {int(p), int(t)} - {VOID}:
                inter, union = seen.get(label, (0, 0))
                seen[label] = (inter + (p == t), union + 1)
    return {label: inter / union for label, (inter, union) in seen.items()}


def item(predicted=None, true=None):
    """Arrays as prediction and truth: uint8 are label maps, bool are masks."""

    def made(array, plain, mask, labels, **about):
        if array is None:
            return plain(**about)
        named = {"mask" if array.dtype == bool else "labels": torch.from_numpy(array)}
        return (mask if array.dtype == bool else labels)(**about, **named)

    prediction = made(predicted, Prediction, MaskPrediction, LabelMapPrediction, query={})
    return prediction, made(true, Truth, MaskTruth, LabelMapTruth, key="k")


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_miou_is_the_brute_force_one(seed):
    pairs = label_maps(seed)
    metric = MeanIoU()
    for pair in pairs:
        metric.update(*item(*pair))
    expected = brute_iou(pairs)
    per_class = metric.per_class()
    assert {index for index in range(VOID) if not per_class[index].isnan()} == set(expected)
    for label, iou in expected.items():
        assert float(per_class[label]) == pytest.approx(iou, abs=1e-6)
    if len({int(label) for _, true in pairs for label in true.flat} - {VOID}) > 1:
        assert float(metric.compute()) == pytest.approx(np.mean(list(expected.values())), abs=1e-6)
        assert not metric.reason()
    else:
        assert metric.compute().isnan()


def test_miou_is_over_the_set_not_over_pictures():
    metric = MeanIoU()
    metric.update(*item(np.zeros((1, 9), np.uint8), np.zeros((1, 9), np.uint8)))
    metric.update(*item(np.zeros((1, 1), np.uint8), np.ones((1, 1), np.uint8)))
    assert float(metric.compute()) == pytest.approx((9 / 10 + 0) / 2)


def test_void_is_left_out_and_no_answer_counts_as_a_miss():
    counts = label_counts(torch.tensor([[3, 3, VOID, 7]]), torch.tensor([[3, VOID, 3, 200]]))
    assert counts.shape == (3, MOST_CLASSES) and counts.dtype == torch.int64
    assert counts.sum(1).tolist() == [1, 3, 2]
    assert counts[:, 3].tolist() == [1, 2, 1] and counts[:, 200].tolist() == [0, 1, 0] and not counts[:, VOID].any()
    iou = iou_of_counts(counts)
    assert float(iou[3]) == 0.5 and float(iou[7]) == float(iou[200]) == 0.0


def test_more_classes_than_8_bits_have():
    """In uint16, 255 is a class as any other, and 65535 is void."""
    rng = np.random.default_rng(0)
    true = rng.choice([0, 254, 255, 256, 846, WIDE_VOID], (40, 40)).astype(np.uint16)
    found = np.where(rng.random(true.shape) < 0.6, true, rng.choice([255, 300, 846], true.shape)).astype(np.uint16)
    found[true == WIDE_VOID] = 12
    metric, each = MeanIoU(), MeanClassIoU()
    metric.update(*item(found, true))
    ious = {
        c: (found == c)[true == c].sum() / ((found == c) | (true == c))[true != WIDE_VOID].sum()
        for c in (0, 254, 255, 256, 300, 846)
    }
    assert float(metric.compute()) == pytest.approx(np.mean(list(ious.values())), abs=1e-6)
    masks = {c: torch.from_numpy(found == c) for c in (0, 255, 300, 846)}
    truth = LabelMapTruth(key="k", labels=torch.from_numpy(true), absent=300)
    each.update(ClassMasksPrediction(query={}, masks=masks), truth)
    assert float(each.compute()) == pytest.approx(np.mean([ious[c] for c in masks]), abs=1e-6)


def test_what_is_no_label_is_refused():
    with pytest.raises(ConfigError, match=r"true labels span \[0, 5000\]; expected \[0, 4094\]"):
        label_counts(torch.tensor([[0, 1]]), torch.tensor([[0, 5000]]))
    with pytest.raises(ConfigError, match=r"predicted labels span \[-1, 1\]"):
        label_counts(torch.tensor([[-1, 1]]), torch.tensor([[0, 1]]))
    with pytest.raises(ConfigError, match=r"shape \(1, 2\), the truth \(2, 1\)"):
        label_counts(torch.zeros(1, 2), torch.zeros(2, 1))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_mciou_is_the_brute_force_one(seed):
    rng = np.random.default_rng(seed)
    metric, inter, union = MeanClassIoU(), np.zeros(8), np.zeros(8)
    for _, true in label_maps(seed):
        absent = next((c for c in rng.permutation(8) if c not in true), None)
        answers = {c: rng.random(true.shape) < rng.choice([0.0, 0.5]) for c in range(8) if c != 0}  # 0 is never asked
        prediction = ClassMasksPrediction(query={}, masks={c: torch.from_numpy(m) for c, m in answers.items()})
        metric.update(prediction, LabelMapTruth(key="k", labels=torch.from_numpy(true), absent=absent))
        valid = true != VOID
        for label, mask in answers.items():
            if label in true or label == absent:
                inter[label] += (mask & (true == label)).sum()
                union[label] += ((mask | (true == label)) & valid).sum()
    ious = [inter[c] / union[c] for c in range(8) if union[c]]
    if metric.reason():
        assert metric.compute().isnan()
    elif ious:
        assert float(metric.compute()) == pytest.approx(np.mean(ious), abs=1e-6)
    per_class = metric.per_class()
    assert [c for c in range(VOID) if not per_class[c].isnan()] == [c for c in range(8) if union[c]]


def test_mciou_counts_false_alarms_of_the_absent_class_only():
    labels = torch.tensor([[1, 1, VOID]])
    answers = {
        1: torch.tensor([[True, True, True]]),
        2: torch.tensor([[True, False, False]]),
        3: torch.tensor([[True, False, False]]),
    }
    metric = MeanClassIoU()
    metric.update(ClassMasksPrediction(query={}, masks=answers), LabelMapTruth(key="k", labels=labels, absent=2))
    assert float(metric.compute()) == pytest.approx((1.0 + 0.0) / 2)


def test_a_mean_over_one_class_alone_is_nan_with_a_reason():
    maps = np.zeros((2, 3), np.uint8)
    miou = MeanIoU()
    miou.update(*item(maps, maps))
    assert miou.compute().isnan() and "one class alone" in miou.reason()
    miou.update(*item(maps, maps + 1))
    assert float(miou.compute()) == pytest.approx(0.25) and not miou.reason()
    mciou = MeanClassIoU()
    answer = ClassMasksPrediction(query={}, masks={0: torch.ones(2, 3, dtype=torch.bool)})
    mciou.update(answer, LabelMapTruth(key="k", labels=torch.from_numpy(maps)))
    assert mciou.compute().isnan() and "one class alone" in mciou.reason()
    background = MeanClassIoU()  # is asked of nobody, and all there is
    nothing = {1: torch.zeros(2, 3, dtype=torch.bool)}
    background.update(
        ClassMasksPrediction(query={}, masks=nothing), LabelMapTruth(key="k", labels=torch.from_numpy(maps), absent=1)
    )
    assert background.compute().isnan() and background.reason()
    mciou.update(answer, LabelMapTruth(key="l", labels=torch.from_numpy(maps + 1)))  # 1 is a background: nobody asks it
    assert float(mciou.compute()) == 1.0 and not mciou.reason()


def test_mciou_of_rightly_empty_answers_is_one():
    metric = MeanClassIoU()
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    metric.update(
        ClassMasksPrediction(query={}, masks={2: nothing}),
        LabelMapTruth(key="k", labels=torch.tensor([[0, 1]]), absent=2),
    )
    assert float(metric.compute()) == 1.0


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_mask_metrics_agree_with_pycocotools(seed):
    ciou, giou, n_acc = CumulativeIoU(), MeanMaskIoU(), NoTargetAccuracy()
    inter = union = 0.0
    ious, empties = [], []
    for predicted, true in masks(seed):
        for metric in (ciou, giou, n_acc):
            metric.update(*item(predicted, true))
        p, t = (rle.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in (predicted, true))
        both = rle.area(rle.merge([p, t], intersect=True))
        inter, union = inter + both, union + rle.area(rle.merge([p, t]))
        ious.append(float(rle.iou([p], [t], [0])[0, 0]) if rle.area(rle.merge([p, t])) else 1.0)
        if not rle.area(t):
            empties.append(rle.area(p) == 0)
    assert float(ciou.compute()) == pytest.approx(inter / union if union else 1.0, abs=1e-6)
    assert float(giou.compute()) == pytest.approx(np.mean(ious), abs=1e-6)
    if empties:
        assert float(n_acc.compute()) == pytest.approx(np.mean(empties))
    else:
        assert n_acc.compute().isnan()


@pytest.mark.parametrize("predicted", [0.0, 1.0])
@pytest.mark.parametrize("true", [0.0, 1.0])
def test_empty_and_full_masks(predicted, true):
    pair = item(np.full((2, 3), predicted, bool), np.full((2, 3), true, bool))
    for metric in (CumulativeIoU(), MeanMaskIoU()):
        metric.update(*pair)
        assert float(metric.compute()) == float(predicted == true)


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        (MeanIoU(), "LabelMapPrediction"),
        (MeanClassIoU(), "ClassMasksPrediction"),
        (CumulativeIoU(), "MaskPrediction"),
        (MeanMaskIoU(), "MaskPrediction"),
        (NoTargetAccuracy(), "MaskPrediction"),
    ],
)
def test_another_kind_of_answer_is_refused(metric, kind):
    with pytest.raises(ConfigError, match=f"{type(metric).__name__} got a Prediction for 'k', expected a {kind}"):
        metric.update(*item())


@given(SEEDS)
@settings(max_examples=20, deadline=None)
def test_held_out_queries_are_also_counted_alone(seed):
    rng = np.random.default_rng(seed)
    both = MetricCollection({"ciou": CumulativeIoU(), "ciou_held_out": HeldOutIoU()})
    alone, every = CumulativeIoU(), CumulativeIoU()
    chosen = [True, *(rng.random(5) < 0.5).tolist()]  # the first is held out: then both metrics hold the same at first
    for (predicted, true), held_out in zip(masks(seed), chosen, strict=True):
        prediction = MaskPrediction(query={}, mask=torch.from_numpy(predicted))
        truth = MaskTruth(key="k", mask=torch.from_numpy(true), held_out=held_out)
        both.update(prediction, truth)
        every.update(prediction, truth)
        if held_out:
            alone.update(prediction, truth)
    found = both.compute()
    assert torch.equal(found["ciou"], every.compute()) and torch.equal(found["ciou_held_out"], alone.compute())


def test_without_a_held_out_query_its_score_is_nan():
    metric = HeldOutIoU()
    metric.update(MaskPrediction(query={}, mask=torch.ones(2, 2) > 0), MaskTruth(key="k", mask=torch.ones(2, 2) > 0))
    assert torch.isnan(metric.compute())
