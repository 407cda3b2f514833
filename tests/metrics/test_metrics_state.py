"""What holds for every metric: nothing is nan, the truth itself is perfect, merged and gathered states equal one."""

from __future__ import annotations

import math
import pickle
import warnings
from dataclasses import dataclass

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import MetricCollection

from idiff.metrics import (
    PCK,
    PSNR,
    SSIM,
    CumulativeIoU,
    KeypointAP,
    MeanClassIoU,
    MeanIoU,
    MeanMaskIoU,
    NoTargetAccuracy,
)
from idiff.metrics.bootstrap import Additions, intervals
from idiff.predictions import (
    ImagePrediction,
    ImageTruth,
    KeypointPrediction,
    KeypointTruth,
    LabelMapPrediction,
    LabelMapTruth,
    MaskPrediction,
    MaskTruth,
)
from idiff.types import VOID

BUILD = {
    "miou": MeanIoU,
    "mciou": MeanClassIoU,
    "ciou": CumulativeIoU,
    "giou": MeanMaskIoU,
    "n_acc": NoTargetAccuracy,
    "ap": KeypointAP,
    "pck": lambda: PCK(0.1),
    "pck05": lambda: PCK(0.05),
    "psnr": PSNR,
    "ssim": SSIM,
}
NAMES = {*BUILD, "ap50", "ap75"}


@dataclass(kw_only=True)
class Found(LabelMapPrediction, MaskPrediction, KeypointPrediction, ImagePrediction):
    """An answer of every kind at once."""


@dataclass(kw_only=True)
class Told(LabelMapTruth, KeypointTruth, MaskTruth, ImageTruth):
    """What it is scored against."""


def collection():
    return MetricCollection({name: build() for name, build in BUILD.items()})


def items(count, *, perfect=False):
    """Predictions and truths with every field that a metric reads; skeletons of 3 and 4 joints."""
    pairs = []
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        joints = 3 + number % 2
        labels = torch.randint(0, 4, (12, 12), generator=rng, dtype=torch.uint8)
        mask = torch.rand(12, 12, generator=rng) < (0.0 if number % 3 == 0 else 0.5)
        points = torch.rand(joints, 2, generator=rng) * 100
        picture = torch.rand(3, 12, 12, generator=rng) * 2 - 1
        truth = Told(
            key=f"picture/{number // 2}",
            labels=labels.masked_fill(torch.rand(12, 12, generator=rng) < 0.1, VOID),
            mask=mask,
            keypoints=torch.cat([points, torch.randint(1, 3, (joints, 1), generator=rng)], dim=1),
            box=(0.0, 0.0, 100.0, 100.0),
            sigmas=(0.05,) * joints,
            absent=5,
            picture=picture,
        )
        wrong = 0.0 if perfect else 0.3
        flip = torch.rand(12, 12, generator=rng) < wrong
        moved = points + torch.randn(joints, 2, generator=rng) * 10 * wrong * (number % 4)
        prediction = Found(
            query={},
            score=float(torch.rand((), generator=rng)),
            mask=mask ^ (flip & (number % 2 == 0)),
            keypoints=torch.cat([moved, torch.ones(joints, 1)], dim=1),
            labels=torch.where(flip, 1, labels),
            masks={c: (labels == c) ^ flip for c in range(6)},
            picture=picture + torch.randn(3, 12, 12, generator=rng) * wrong,
        )
        pairs.append((prediction, truth))
    return pairs


def fed(pairs):
    metrics = collection()
    for pair in pairs:
        metrics.update(*pair)
    return metrics


def recorded(pairs):
    metrics, additions = collection(), Additions()
    for pair in pairs:
        additions.update(metrics, *pair)
    return metrics, additions


def values(metrics):
    return {name: float(value) for name, value in metrics.compute().items()}


def test_nothing_scored_is_nan_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = values(collection())
    assert set(got) == NAMES
    assert all(math.isnan(value) for value in got.values())


def test_the_truth_itself_is_perfect():
    got = values(fed(items(6, perfect=True)))
    assert got.pop("psnr") == 100.0
    assert got == pytest.approx(dict.fromkeys(NAMES - {"psnr"}, 1.0), abs=1e-5)


def test_shares_lie_between_0_and_1_and_are_floats_of_no_dimension():
    for name, value in fed(items(8)).compute().items():
        assert value.shape == () and value.dtype == torch.float32
        assert 0 < value < (1 if name != "psnr" else 40), name


def test_a_collection_never_shares_a_state_between_two_metrics():
    """The first item is perfect: sums and counts are equal, yet every metric must go on with its own."""
    pairs = items(1, perfect=True) + items(8)[1:]
    together = values(fed(pairs))
    for name, build in BUILD.items():
        alone = build()
        for pair in pairs:
            alone.update(*pair)
        value = alone.compute()
        assert together[name] == float(value[name] if isinstance(value, dict) else value)
    assert together["pck"] > together["pck05"]


@pytest.mark.parametrize("cut", [0, 3, 8])
@pytest.mark.parametrize("name", BUILD)
def test_merged_states_equal_one(name, cut):
    pairs = items(8)
    whole, left, right = (BUILD[name]() for _ in range(3))
    for number, pair in enumerate(pairs):
        whole.update(*pair)
        (left if number < cut else right).update(*pair)
    left.merge_state(right)
    assert left.compute() == whole.compute()


@pytest.mark.parametrize("name", BUILD)
def test_reset_and_pickle(name):
    metric = BUILD[name]()
    for pair in items(4):
        metric.update(*pair)
    before = metric.compute()
    assert pickle.loads(pickle.dumps(metric)).compute() == before
    metric.reset()
    value = metric.compute()
    assert all(entry.isnan() for entry in (value.values() if isinstance(value, dict) else [value]))
    for pair in items(4):
        metric.update(*pair)
    assert metric.compute() == before


def _rank(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    uneven = fed(items(7)[:5] if rank == 0 else items(7)[5:])
    empty = fed(items(7) if rank == 0 else [])
    metrics, additions = recorded(items(7)[:5] if rank == 0 else items(7)[5:])
    parts = [None, None]
    dist.all_gather_object(parts, additions.found)
    bounds = intervals(metrics, parts[0] + parts[1], resamples=20, seed=3)
    torch.save((values(uneven), values(empty), bounds), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_ranks_agree_with_one_process(tmp_path):
    """Uneven ranks, and a rank that saw nothing."""
    mp.spawn(_rank, args=(str(tmp_path),), nprocs=2)
    expected = values(fed(items(7)))
    metrics, additions = recorded(items(7))
    bounds = intervals(metrics, additions.found, resamples=20, seed=3)
    assert set(bounds) == NAMES
    for rank in (0, 1):
        *found, got_bounds = torch.load(tmp_path / f"{rank}.pt")
        for got in found:
            assert got == pytest.approx(expected, abs=1e-6)
        for name, interval in bounds.items():
            assert got_bounds[name] == pytest.approx(interval, abs=1e-6), name
