"""Surface normals: the scores beside a plain loop, what mirroring does, and normals of drawn scenes written and read again."""

import math

import numpy as np
import pytest
import torch
from test_depth import read_back

from idiff.errors import BadSampleError
from idiff.predictions import MapPrediction, NormalsTruth
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.normals import SurfaceNormals
from idiff.types import Sample
from idiff.utils.seeds import numpy_rng

RNG = np.random.default_rng(1)


def scenes(count=3, size=64):
    source = SyntheticSource("normals", split="val", count=count, size=size, family="solids")
    return [source.sample(index) for index in range(count)]


def by_loop(pairs):
    """All five scores, pixel by pixel."""
    found = []
    for got, true in pairs:
        for one, other in zip(got.reshape(-1, 3).tolist(), true.reshape(-1, 3).tolist(), strict=True):
            if any(other):
                dot = (
                    sum(a * b for a, b in zip(one, other, strict=True))
                    / math.dist(one, (0, 0, 0))
                    / math.dist(other, (0, 0, 0))
                )
                found.append(math.degrees(math.acos(min(1.0, max(-1.0, dot)))))
    shares = {
        name: sum(a < d for a in found) / len(found)
        for name, d in (("within_11", 11.25), ("within_22", 22.5), ("within_30", 30))
    }
    return {"mean_angle": sum(found) / len(found), "median_angle": sorted(found)[(len(found) - 1) // 2], **shares}


def test_scores_are_those_of_a_plain_loop_on_random_and_on_scene_inputs():
    task, pairs = SurfaceNormals(), []
    for number in range(2):
        got, true = RNG.normal(size=(2, 9, 7, 3)).astype(np.float32)
        true[RNG.random((9, 7)) < 0.2] = 0
        truth = NormalsTruth(key=str(number), normals=torch.from_numpy(true))
        pairs.append((MapPrediction(query={}, values=torch.from_numpy(got)), truth))
    pairs += [read_back(task, sample, lambda p: (p + 0.3 * torch.randn_like(p)).clamp(-1, 1)) for sample in scenes(2)]
    metrics = task.metrics()
    for pair in pairs:
        metrics.update(*pair)
    expected = by_loop([(one.values.numpy(), other.normals.numpy()) for one, other in pairs])
    assert {name: float(value) for name, value in metrics.compute().items()} == pytest.approx(expected, abs=0.06)


def test_normals_written_and_read_in_8_bits():
    task = SurfaceNormals()
    metrics = task.metrics()
    for sample in scenes():
        metrics.update(*read_back(task, sample))
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert 0 < found["mean_angle"] < 0.5 and found["within_11"] == 1


def test_a_mirrored_view_has_mirrored_normals():
    """Of a mirrored image and its mirrored normals the unmirrored view is the same as the mirrored view of the image itself."""
    sample, plain = scenes(1)[0], SurfaceNormals(flip=0.0, augment=[])
    flipped = Sample(
        sample.key,
        sample.image[:, ::-1].copy(),
        {},
        maps={"normals": sample.maps["normals"][:, ::-1] * np.float32([-1, 1, 1])},
    )
    one = SurfaceNormals(flip=1.0, augment=[]).encode(sample, 0, numpy_rng(0), train=True)
    other = plain.encode(flipped, 0, numpy_rng(0), train=True)
    assert torch.allclose(one.target, other.target, atol=1e-5) and torch.equal(one.source, other.source)


def test_the_floor_is_the_mean_normal_and_the_files_hold_what_was_read():
    task = SurfaceNormals()
    truths = [task.truth(task.queries(sample, 0)[0].annotation) for sample in scenes()]
    name, answer = task.baseline(truths)
    every = torch.cat([truth.normals.reshape(-1, 3) for truth in truths]).sum(dim=0)
    assert name == "mean_normal" and torch.allclose(
        answer({"size": [2, 3]}).values[1, 2], every / every.norm(), atol=1e-5
    )
    prediction, truth = read_back(task, scenes(1)[0])
    stored = task.stored(prediction)["_normals.png"]
    known = truth.normals.abs().sum(dim=-1).numpy() > 0
    assert (
        stored.dtype == np.uint16
        and np.abs(stored / 32767.5 - 1 - prediction.values.numpy()).max() < 1e-4
        and known.any()
    )


def test_maps_that_cannot_be_used():
    task, image = SurfaceNormals(), np.zeros((4, 4, 3), np.uint8)
    for values, message in (
        (np.zeros((4, 4), np.float32), r"expected a map of shape \(4, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "vectors as float"),
    ):
        with pytest.raises(BadSampleError, match=message):
            task.known(Sample("a", image, {}, maps={"normals": values}))
