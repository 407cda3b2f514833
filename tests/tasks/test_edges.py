"""Edges: thinning beside scikit-image, the scores beside a plain loop, and edges of drawn scenes written and read again."""

import cv2
import numpy as np
import pytest
import torch
from skimage.morphology import thin as outside_thin
from test_depth import read_back

from idiff.errors import BadSampleError, ConfigError
from idiff.metrics.edges import match, thin
from idiff.predictions import EdgesTruth, MapPrediction
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.edges import EdgeDetection
from idiff.types import Sample

RNG = np.random.default_rng(2)


def scenes(count=3, size=64):
    source = SyntheticSource("edges", split="val", count=count, size=size, family="solids")
    return [source.sample(index) for index in range(count)]


def blobs(shape, share):
    field = cv2.GaussianBlur(RNG.random(shape), (0, 0), 1.5)
    return field > np.quantile(field, 1 - share)


def paired_by_loop(found, true, tolerance):
    """How many pixels can be paired, and which of `found` can: augmenting paths, pixel by pixel."""
    mine, theirs = ([tuple(each) for each in np.argwhere(mask).tolist()] for mask in (found, true))
    near = [
        [n for n, (y, x) in enumerate(theirs) if (y - row) ** 2 + (x - column) ** 2 <= tolerance**2]
        for row, column in mine
    ]
    owner = {}

    def enters(place, seen):
        for other in near[place]:
            if other not in seen:
                seen.add(other)
                if other not in owner or enters(owner[other], seen):
                    owner[other] = place
                    return True
        return False

    for place in range(len(mine)):
        enters(place, set())
    return len(owner)


def by_loop(pairs, levels, tolerance):
    """`ods`, `ois` and `ap` where each truth has one annotator."""
    total, best = np.zeros((len(levels), 4)), np.zeros(4)
    for strength, true in pairs:
        line, rows = outside_thin(true), []
        for level in levels:
            answer = outside_thin(strength >= level)
            hits = paired_by_loop(answer, line, tolerance)
            rows.append((hits, answer.sum(), hits, line.sum()))
        scores = [2 * hits / (answers + edges) if hits else 0 for hits, answers, _, edges in rows]
        total, best = total + np.array(rows), best + np.array(rows[int(np.argmax(scores))])
    curve = [(hits / max(answers, 1), hits / edges) for hits, answers, _, edges in total]
    ap = np.mean([max([p for p, r in curve if r >= at - 1e-9], default=0) for at in np.arange(101) / 100])
    ods = max(2 * hits / (answers + edges) for hits, answers, _, edges in total)
    return {"ods": ods, "ois": 2 * best[0] / (best[1] + best[3]), "ap": ap}


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_thinning_is_that_of_scikit_image(share):
    for mask in (blobs((40, 55), share), RNG.random((30, 31)) < share, np.ones((9, 5), bool), np.ones((1, 1), bool)):
        assert np.array_equal(thin(mask), outside_thin(mask))


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3])
def test_as_many_pixels_are_matched_as_can_be(tolerance):
    for _ in range(5):
        found, true = RNG.random((2, 9, 11)) < 0.3
        mine, theirs = match(found, true, tolerance)
        assert mine.sum() == theirs.sum() == paired_by_loop(found, true, tolerance)
        assert not (mine & ~found).any() and not (theirs & ~true).any()
    nothing = np.zeros((4, 4), bool)
    assert not any(each.any() for each in match(nothing, np.ones((4, 4), bool), tolerance))


@pytest.mark.parametrize("tolerance", [1.0, 2.5])
def test_scores_are_those_of_a_plain_loop_on_random_and_on_scene_inputs(tolerance):
    task = EdgeDetection(tolerance=tolerance, thresholds=7)
    pairs = [(RNG.random((14, 12)).astype(np.float32), blobs((14, 12), 0.2)) for _ in range(3)]
    for sample in scenes(2, 32):
        prediction, truth = read_back(task, sample, lambda p: p + 0.5 * torch.rand_like(p))
        pairs.append((prediction.values.numpy(), truth.maps[0].numpy()))
    metrics = task.metrics()
    for number, (strength, true) in enumerate(pairs):
        truth = EdgesTruth(key=str(number), maps=torch.from_numpy(true)[None])
        metrics.update(MapPrediction(query={}, values=torch.from_numpy(strength)), truth)
    expected = by_loop(pairs, np.arange(1, 8) / 8, tolerance)
    assert {name: float(value) for name, value in metrics.compute().items()} == pytest.approx(expected, rel=1e-5)


def test_several_annotators_are_scored_one_by_one():
    """An answer that agrees with one of two: all of it is right, and half of all edges are found."""
    maps = torch.zeros(2, 20, 20, dtype=torch.bool)
    maps[0, 4, 2:18], maps[1, 12, 2:18] = True, True
    metrics = EdgeDetection().metrics()
    metrics.update(MapPrediction(query={}, values=maps[0].float()), EdgesTruth(key="a", maps=maps))
    assert float(metrics.compute()["ods"]) == pytest.approx(2 * 1 * 0.5 / 1.5)
    sample = Sample("a", np.zeros((20, 20, 3), np.uint8), {}, maps={"edges": maps.movedim(0, -1).numpy()})
    task = EdgeDetection(size=20, softness=0)
    (triplet,) = task.queries(sample, 0)
    assert torch.equal(task.truth(triplet.annotation).maps, maps)
    assert triplet.target[0, 4, 5] == 0 and triplet.target[0, 0, 0] == -1  # half of the annotators: mid gray


@pytest.mark.parametrize("size", [64, 128])
def test_edges_written_and_read_in_8_bits_and_the_floors_below(size):
    task, truths = EdgeDetection(size=size), []
    metrics, sobel, blind = task.metrics(), task.metrics(), task.metrics()
    for sample in scenes(3, size):
        prediction, truth = read_back(task, sample)
        metrics.update(prediction, truth)
        gray = cv2.cvtColor(sample.image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        slope = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)).clip(0, 1)
        sobel.update(MapPrediction(query={}, values=torch.from_numpy(slope)), truth)
        truths.append((prediction.query, truth))
    name, answer = task.baseline([truth for _, truth in truths])
    for query, truth in truths:
        blind.update(answer(query), truth)
    best, simple, floor = (float(each.compute()["ods"]) for each in (metrics, sobel, blind))
    assert name == "mean_edges" and best > 0.99 and 0 < max(simple, floor) < 0.8


def test_lines_survive_a_smaller_view_and_the_painted_strength_is_soft():
    edges = np.zeros((300, 200), np.uint8)
    edges[151] = 255
    sample = Sample("a", np.zeros((300, 200, 3), np.uint8), {}, maps={"edges": edges})
    hard, soft = (EdgeDetection(softness=each).queries(sample, 0)[0].target[0] for each in (0.0, 1.0))
    inside = slice(12, 52)
    assert (hard[:, inside].amax(dim=0) == 1).all() and set(hard[:, inside].unique().tolist()) == {-1.0, 1.0}
    assert ((soft[:, inside] > -0.9) & (soft[:, inside] < 0.9)).any() and (soft[:, inside].amax(dim=0) == 1).all()


def test_maps_that_cannot_be_used():
    task, image = EdgeDetection(), np.zeros((8, 8, 3), np.uint8)
    same = [
        np.full((8, 8), value, dtype) for value, dtype in ((1, bool), (255, np.uint8), (65535, np.uint16), (1, float))
    ]
    assert all(task.known(Sample("a", image, {}, maps={"edges": each})).tolist() == [[1.0] * 8] * 8 for each in same)
    for values, message in (
        (None, "got none"),
        (np.zeros((4, 8)), "got shape"),
        (np.zeros((8, 8), np.int32), "got int32"),
    ):
        maps = {} if values is None else {"edges": values}
        with pytest.raises(BadSampleError, match=f"edges: {message}"):
            task.queries(Sample("a", image, {}, maps=maps), 0)
    for wrong in ({"softness": -1}, {"tolerance": -1}, {"thresholds": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            EdgeDetection(**wrong)
    stored = task.stored(MapPrediction(query={}, values=torch.tensor([[0.5, 1.2]])))["_edges.png"]
    assert stored.dtype == np.uint8 and stored.tolist() == [[128, 255]]
