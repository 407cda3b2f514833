"""Intervals by the bootstrap: what is resampled, that figures of resamples are those of copied images, and coverage."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap as outside
from test_metrics_keypoints import COCO_SIGMAS, answers, people
from torchmetrics import MetricCollection

from idiff.metrics import (
    PSNR,
    CumulativeIoU,
    KeypointAP,
    MeanClassIoU,
    MeanIoU,
    MeanMaskIoU,
    MSERatio,
    NoTargetAccuracy,
)
from idiff.metrics.bootstrap import Additions, draws, intervals, percentile_interval
from idiff.metrics.detection import BoxAP
from idiff.predictions import (
    BoxPrediction,
    BoxTruth,
    EditTruth,
    ImagePrediction,
    KeypointPrediction,
    KeypointTruth,
    LabelMapPrediction,
    LabelMapTruth,
    MaskPrediction,
    MaskTruth,
)
from idiff.types import VOID


@dataclass(kw_only=True)
class Found(LabelMapPrediction, MaskPrediction, ImagePrediction):
    """An answer of every kind at once."""


@dataclass(kw_only=True)
class Told(LabelMapTruth, MaskTruth, EditTruth):
    """What it is scored against."""


def dense(count, seed=0, *, classes=5, items_a_picture=1, size=12):
    """Predictions and truths of masks, label maps and images; several items may be of one image."""
    rng = torch.Generator().manual_seed(seed)
    pairs = []
    for number in range(count):
        labels = torch.randint(0, classes, (size, size), generator=rng, dtype=torch.uint8)
        share = torch.rand((), generator=rng)
        wrong = torch.rand(size, size, generator=rng) < share
        mask = (labels == 1) & bool(number % 3)
        picture = torch.rand(3, size, size, generator=rng) * 2 - 1
        truth = Told(
            key=f"p{number // items_a_picture}", labels=labels.masked_fill(torch.rand(size, size, generator=rng) < 0.1, VOID),
            mask=mask, picture=picture, source=picture.roll(1, 2), absent=classes + 1,
        )  # fmt: skip
        found = torch.where(wrong, torch.randint(0, classes, (size, size), generator=rng, dtype=torch.uint8), labels)
        pairs.append((
            Found(
                query={}, labels=found, masks={c: found == c for c in range(classes + 2)},
                mask=(mask ^ wrong) & (share > 0.2), picture=picture + 0.3 * share * torch.randn(3, size, size, generator=rng),
            ),
            truth,
        ))  # fmt: skip
    return pairs


BUILD = {
    "miou": MeanIoU, "mciou": MeanClassIoU, "ciou": CumulativeIoU, "giou": MeanMaskIoU, "n_acc": NoTargetAccuracy,
    "psnr": PSNR, "mse_ratio": MSERatio,
}  # fmt: skip


def recorded(build, pairs):
    metrics, additions = MetricCollection({name: make() for name, make in build.items()}), Additions()
    for pair in pairs:
        if isinstance(pair[1], MaskTruth):
            pair[1].mask = pair[1].mask.bool()
        additions.update(metrics, *pair)
    return metrics, additions.found


def by_hand(build, pairs, counts, keys):
    """Each figure of each resample, from metrics updated with what was drawn, as often as it was drawn."""
    figures = {}
    for row in counts:
        metrics = MetricCollection({name: make() for name, make in build.items()})
        for prediction, truth in pairs:
            for copy in range(row[keys.index(truth.key)]):
                again = replace(truth, key=f"{truth.key}/{copy}")
                metrics.update(prediction, again)
        for name, value in metrics.compute().items():
            figures.setdefault(name, []).append(float(value))
    return {name: np.array(values) for name, values in figures.items()}


def test_recording_changes_no_figure():
    pairs = dense(6)
    plain = MetricCollection({name: make() for name, make in BUILD.items()})
    for pair in pairs:
        plain.update(*pair)
    got = recorded(BUILD, pairs)[0].compute()
    for name, value in plain.compute().items():
        assert torch.equal(value, got[name]), name


@pytest.mark.parametrize("items_a_picture", [1, 3])
def test_intervals_are_percentiles_of_metrics_of_copied_pictures(monkeypatch, items_a_picture):
    pairs = dense(9, items_a_picture=items_a_picture)
    metrics, found = recorded(BUILD, pairs)
    keys = sorted({truth.key for _, truth in pairs})
    assert len(keys) == 9 // items_a_picture
    drawn = []
    monkeypatch.setattr("idiff.metrics.bootstrap.draws", lambda *given: drawn.append(draws(*given)) or drawn[-1])
    got = intervals(metrics, found, resamples=40, seed=3)
    expected = by_hand(BUILD, pairs, drawn[0], keys)
    assert set(got) == set(BUILD)
    for name, values in expected.items():
        assert got[name] == pytest.approx(percentile_interval(values), abs=1e-5), name
        assert got[name][0] < float(metrics.compute()[name]) < got[name][1], name


@pytest.mark.parametrize("seed", range(4))
def test_ap_of_a_resample_is_that_of_copied_pictures(seed):
    truth = people(seed, pictures=7)
    other = people(seed + 50, pictures=5, joints=5)
    pairs = list(answers(truth, seed, sigmas=COCO_SIGMAS))
    for prediction, target in answers(other, seed, sigmas=(0.06,) * 5):
        target.key = f"other-{target.key}"
        prediction.score += 0.5 / 100  # no two scores are equal: their order would hang on the images' numbers
        pairs.append((prediction, target))
    metric = KeypointAP()
    for pair in pairs:
        metric.update(*pair)
    keys = sorted({target.key for _, target in pairs})
    counts = np.vstack([np.ones((1, len(keys)), int), draws(len(keys), 12, np.random.default_rng(seed))])
    got = metric.resampled(keys, counts)
    expected = by_hand({"ap": KeypointAP}, pairs, counts, keys)
    for name in ("ap", "ap50", "ap75"):
        assert got[name] == pytest.approx(expected[name], abs=1e-7), name
        assert got[name][0] == pytest.approx(float(metric.compute()[name]), abs=1e-7)


def boxes(seed, pictures=8, classes=4):
    """Images with true and found boxes of some classes; a class may be found nowhere, or be nowhere."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(pictures):
        true = np.column_stack([rng.uniform(0, 50, (4, 2)), rng.uniform(10, 40, (4, 2)), rng.integers(0, classes, 4)])
        true = true[: rng.integers(0, 5)]
        moved = true + np.array([1, 1, 1, 1, 0]) * rng.normal(0, 4, (len(true), 5))
        found = np.vstack([moved, np.column_stack([rng.uniform(0, 50, (3, 4)) + 5, rng.integers(1, classes + 1, 3)])])
        found = np.column_stack([found[:, :4], rng.permutation(len(found)) / 100 + number / 10_000, found[:, 4]])
        prediction = BoxPrediction(query={}, boxes=torch.from_numpy(found[found[:, 5] != 0]).float())
        pairs.append((prediction, BoxTruth(key=f"b{number}", boxes=torch.from_numpy(true).float())))
    return pairs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("anything", [True, False])
def test_ap_of_boxes_of_a_resample_is_that_of_copied_pictures(seed, anything):
    pairs = boxes(seed)
    if not anything:
        for prediction, _ in pairs:
            prediction.boxes = prediction.boxes[:0]
    metric = BoxAP()
    for pair in pairs:
        metric.update(*pair)
    keys = [truth.key for _, truth in pairs]
    empty = np.zeros((1, 8), int)
    empty[0, next((n for n, (_, truth) in enumerate(pairs) if not len(truth.boxes)), 0)] = 8
    counts = np.vstack([np.ones((1, 8), int), empty, draws(8, 10, np.random.default_rng(seed))])
    got, expected = metric.resampled(keys, counts), by_hand({"ap": BoxAP}, pairs, counts, keys)
    for name in ("ap", "ap50", "ap75"):
        assert got[name] == pytest.approx(expected[name], abs=1e-6, nan_ok=True), name
    assert (got["ap"][0] > 0.02) == anything


def test_resamples_without_a_labelled_joint_are_nan():
    metric = KeypointAP()
    for key, seen in (("a", 2.0), ("b", 0.0)):
        points = torch.tensor([[1.0, 1, seen], [5, 5, seen]])
        truth = KeypointTruth(key=key, keypoints=points, box=(0.0, 0.0, 9.0, 9.0), sigmas=(0.05, 0.05))
        metric.update(KeypointPrediction(query={}, score=0.5, keypoints=points), truth)
    got = metric.resampled(["a", "b"], np.array([[2, 0], [0, 2], [1, 1]]))
    assert got["ap"][[0, 2]] == pytest.approx([1.0, 1.0])
    assert np.isnan(got["ap"][1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_draws_have_the_set_s_size_and_favour_nobody(seed, count):
    drawn = draws(count, 200, np.random.default_rng(seed))
    assert drawn.shape == (200, count) and (drawn.sum(axis=1) == count).all()
    assert drawn.mean(axis=0) == pytest.approx(np.ones(count), abs=0.5)


def test_the_interval_of_a_mean_is_scipy_s():
    """A mean of 60 numbers, as PSNR is, against scipy's percentile bootstrap."""
    values = np.random.default_rng(0).gamma(2.0, 3.0, 60)
    drawn = draws(60, 9000, np.random.default_rng(1))
    got = percentile_interval(drawn @ values / 60)
    reference = outside((values,), np.mean, n_resamples=9000, method="percentile", rng=np.random.default_rng(2))
    assert got == pytest.approx(tuple(reference.confidence_interval), abs=0.08)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Of 200 samples of a known distribution, about 95 % of the intervals hold its mean."""
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        values = rng.normal(10, 2, 50)
        low, high = percentile_interval(draws(50, 400, rng) @ values / 50)
        held += low < 10 < high
    assert 178 <= held <= 199


def test_seeded_and_the_order_of_items_does_not_matter():
    pairs = dense(8, items_a_picture=2)
    metrics, found = recorded(BUILD, pairs)
    one, again = (intervals(metrics, rows, resamples=50, seed=1) for rows in (found, found[::-1]))
    assert set(one) == set(BUILD) and None not in one.values()
    for name, interval in one.items():
        assert again[name] == pytest.approx(interval), name
    assert intervals(metrics, found, resamples=50, seed=2) != one


def test_too_few_pictures_and_nothing_to_score_have_no_interval():
    metrics, found = recorded(BUILD, dense(3, items_a_picture=3))
    assert set(intervals(metrics, found, resamples=20, seed=0).values()) == {None}
    pairs = dense(4)
    for _, truth in pairs:
        truth.mask[0, 0] = True  # every query has a target
    metrics, found = recorded(BUILD, pairs)
    got = intervals(metrics, found, resamples=20, seed=0)
    assert got["n_acc"] is None and got["ciou"] is not None
    assert percentile_interval(np.array([np.nan, np.nan])) is None


@pytest.mark.parametrize("build", [{"miou": MeanIoU, "mciou": MeanClassIoU, "psnr": PSNR}, {"ap": KeypointAP}])
def test_500_pictures_take_seconds(build):
    poses = list(answers(people(0, pictures=500), 0, sigmas=COCO_SIGMAS))
    pairs = poses if "ap" in build else dense(500, classes=20, size=16)
    metrics, found = recorded(build, pairs)
    began = time.process_time()
    got = intervals(metrics, found, resamples=1000, seed=0)
    assert time.process_time() - began < 12
    assert all(low < float(metrics.compute()[name]) < high for name, (low, high) in got.items())
