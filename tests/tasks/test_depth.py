"""Depth: the color path, the scores beside a plain loop, and depths of drawn scenes written and read again."""

import hilbertmap
import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.metrics.depth import AbsRel
from idiff.predictions import DepthPrediction, DepthTruth
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.depth import DepthEstimation
from idiff.types import Sample
from idiff.utils import cube_path
from idiff.utils.images import to_picture, to_tensor

RNG = np.random.default_rng(0)


def scenes(count=4, size=64):
    source = SyntheticSource("depth", split="val", count=count, size=size, family="solids")
    return [source.sample(index) for index in range(count)]


def read_back(task, sample, paint=lambda picture: picture):
    (triplet,) = task.queries(sample, 0)
    target = to_tensor(to_picture(paint(triplet.target)))[None]  # 8 bits, as a file holds it
    prediction = task.combine(task.decode(target, triplet.source[None], [triplet.query]), [triplet.query])
    return prediction, task.truth(triplet.annotation)


def by_loop(got, true, counts=lambda y, x, t: t > 0, least=0.0, most=float("inf")):
    """AbsRel, delta1 and RMSE of one image, pixel by pixel."""
    errors, near, squares, count = 0.0, 0, 0.0, 0
    for (y, x), t in np.ndenumerate(true.astype(np.float64)):
        if counts(y, x, t):
            d = min(max(float(got[y, x]), least), most)
            errors, squares, count = errors + abs(d - t) / t, squares + (d - t) ** 2, count + 1
            near += max(d / t, t / d) < 1.25
    return errors / count, near / count, (squares / count) ** 0.5


def test_the_path_is_that_of_the_library():
    depth = RNG.uniform(0, 80, (20, 30))
    place = 1 - (1 + depth / 10) ** -2
    assert np.allclose(
        cube_path.walk(torch.from_numpy(place)).movedim(0, -1), hilbertmap.depth_to_rgb(depth), atol=1e-9
    )
    colors = RNG.random((20, 30, 3))
    found, away = cube_path.project(torch.from_numpy(colors).movedim(-1, 0))
    assert np.allclose(found, hilbertmap.project(colors), atol=1e-9)
    assert np.allclose(away, np.linalg.norm(colors - hilbertmap.walk(found.numpy()), axis=-1), atol=1e-9)


@pytest.mark.parametrize("size", [64, 256])
def test_depth_written_and_read_in_8_bits(size):
    task = DepthEstimation(size=size)
    metrics = task.metrics()
    for sample in scenes(2, size):
        metrics.update(*read_back(task, sample))
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert 0 < found["absrel"] <= 0.02 and found["delta1"] > 0.999 and found["rmse"] < 0.3, found


def test_scores_are_those_of_a_plain_loop_on_random_and_on_scene_inputs():
    task, pairs = DepthEstimation(), []
    for number in range(3):
        true = RNG.uniform(0.5, 40, (9, 11)).astype(np.float32) * (RNG.random((9, 11)) > 0.2)
        got = RNG.uniform(0.5, 40, (9, 11)).astype(np.float32)
        pairs.append(
            (
                DepthPrediction(query={}, values=torch.from_numpy(got)),
                DepthTruth(key=str(number), depth=torch.from_numpy(true)),
            )
        )
    pairs += [read_back(task, sample, lambda p: p + 0.2 * torch.rand_like(p)) for sample in scenes(2)]
    metrics = task.metrics()
    for pair in pairs:
        metrics.update(*pair)
    metrics.update(pairs[0][0], DepthTruth(key="unknown", depth=torch.zeros(9, 11)))  # counts nowhere
    rows = [by_loop(one.values.numpy(), other.depth.numpy()) for one, other in pairs]
    expected = dict(zip(("absrel", "delta1", "rmse"), np.mean(rows, axis=0), strict=True))
    assert {name: float(value) for name, value in metrics.compute().items()} == pytest.approx(expected, rel=1e-5)


def eigen(y, x, t):
    """NYUv2: rows 45 to 471 and columns 41 to 601 of 480x640, 1 mm to 10 m."""
    return 45 <= y < 471 and 41 <= x < 601 and 1e-3 < t < 10


def garg(y, x, t):
    """KITTI at 375x1242, 1 mm to 80 m: what `int(0.40810811 * height)` and so on give."""
    return 153 <= y < 371 and 44 <= x < 1197 and 1e-3 < t < 80


@pytest.mark.parametrize(
    ("crop", "cap", "shape", "counts"),
    [("eigen", 10.0, (480, 640), eigen), ("garg", 80.0, (375, 1242), garg)],
)
def test_the_protocols_of_nyu_and_kitti_are_those_of_a_plain_loop(crop, cap, shape, counts):
    rng = np.random.default_rng(1)
    true = (rng.uniform(0, 1.3 * cap, shape) * (rng.random(shape) < 0.3)).astype(np.float32)
    got = (true * rng.uniform(0.7, 1.4, shape) + rng.uniform(0, 1, shape)).astype(np.float32)
    task = DepthEstimation(crop=crop, cap=cap, min_depth=1e-3)
    metrics = task.metrics()
    metrics.update(
        DepthPrediction(query={}, values=torch.from_numpy(got)), DepthTruth(key="a", depth=torch.from_numpy(true))
    )
    expected = dict(zip(("absrel", "delta1", "rmse"), by_loop(got, true, counts, 1e-3, cap), strict=True))
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found == pytest.approx(expected, rel=1e-5)
    whole = DepthEstimation().metrics()
    whole.update(
        DepthPrediction(query={}, values=torch.from_numpy(got)), DepthTruth(key="a", depth=torch.from_numpy(true))
    )
    assert abs(float(whole.compute()["rmse"]) - found["rmse"]) > 1e-3


def test_relative_depth_is_aligned_on_what_is_scored():
    """What lies outside of the crop or beyond the cap moves neither the fit nor the floors."""
    rng = np.random.default_rng(2)
    true = rng.uniform(1, 8, (48, 64)).astype(np.float32)
    gray = torch.from_numpy((true - 1) / 9).float()
    true[:4], true[20, 20:30] = 70, 70  # above the crop, and far
    task = DepthEstimation(scale="relative", crop="eigen", cap=10.0)
    metrics, truth = task.metrics(), DepthTruth(key="a", depth=torch.from_numpy(true))
    metrics.update(DepthPrediction(query={}, values=gray, relative=True), truth)
    assert float(metrics.compute()["absrel"]) < 1e-5
    constant = task.floors([truth])["best_constant"]({"size": [48, 64]}).values
    assert 1 < float(constant[0, 0]) < 8


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"crop": "eigne"}, "did you mean 'eigen'"), ({"cap": 0.5, "min_depth": 1.0}, "cap"), ({"min_depth": -1}, "min")],
)
def test_a_wrong_protocol_is_refused(options, reason):
    with pytest.raises(ConfigError, match=reason):
        DepthEstimation(**options)


def test_relative_depth_is_gray_and_scored_after_a_least_squares_fit():
    task = DepthEstimation(scale="relative")
    sample = scenes(1)[0]
    (triplet,) = task.queries(sample, 0)
    painted = triplet.target[:, triplet.answer[0] > 0]
    assert torch.equal(painted[0], painted[1]) and torch.equal(painted[0], painted[2])
    prediction, truth = read_back(task, sample)
    metric = AbsRel()
    metric.update(prediction, truth)
    known = truth.depth.numpy() > 0
    x, y = prediction.values.numpy()[known].astype(float), truth.depth.numpy()[known].astype(float)
    scale, offset = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
    assert float(metric.compute()) == pytest.approx(np.mean(np.abs(scale * x + offset - y) / y), rel=1e-4)
    assert float(metric.compute()) < 0.1


def test_floors_are_a_constant_and_a_plane_and_the_ceiling_is_better():
    task = DepthEstimation()
    truths = [task.truth(task.queries(sample, 0)[0].annotation) for sample in scenes(6)]
    scored = {}
    for name, answer in task.floors(truths).items():
        metric = AbsRel()
        for truth in truths:
            metric.update(answer({"size": list(truth.depth.shape)}), truth)
        scored[name] = float(metric.compute())
    assert set(scored) == {"best_constant", "best_plane"} and 0.02 < scored["best_plane"] < scored["best_constant"]
    assert task.baseline(truths)[0] == "best_plane"
    every = torch.cat([truth.depth[truth.depth > 0] for truth in truths]).numpy()
    best = min(np.mean(np.abs(c - every) / every) for c in np.linspace(0.5, 20, 400))
    constant = float(task.floors(truths)["best_constant"]({"size": [1, 1]}).values)
    assert np.mean(np.abs(constant - every) / every) < 1.02 * best


def test_maps_of_other_types():
    task, image = DepthEstimation(), np.zeros((8, 8, 3), np.uint8)
    meters = Sample("a", image, {}, maps={"depth": np.full((8, 8), 2.5, np.float32)})
    millimeters = Sample("a", image, {}, maps={"depth": np.full((8, 8), 2500, np.uint16)})
    assert torch.equal(task.queries(meters, 0)[0].target, task.queries(millimeters, 0)[0].target)
    holes = np.array([[np.nan, np.inf], [-1, 3]], np.float64)
    assert task.known(Sample("a", image[:2, :2], {}, maps={"depth": holes})).tolist() == [[0, 0], [0, 3]]
    with pytest.raises(BadSampleError, match="depth: got bool"):
        task.known(Sample("a", image, {}, maps={"depth": np.ones((8, 8), bool)}))
    with pytest.raises(BadSampleError, match="depth: got none"):
        task.queries(Sample("a", image, {}), 0)
    stored = task.stored(DepthPrediction(query={}, values=torch.tensor([[1.2344, 80.0]])))["_depth.png"]
    assert stored.dtype == np.uint16 and stored.tolist() == [[1234, 65535]]
