import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import ObjectDetection
from idiff.tasks.common.objects import apart, filled, regions, things_of
from idiff.types import Sample
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import numpy_rng


def squares(*places, side=10, shape=(64, 64), names=("cat", "dog"), mask=True):
    """A gray image with squares: (x, y, class)."""
    instances = []
    for x, y, category in places:
        pixels = np.zeros(shape, np.bool_)
        pixels[y : y + side, x : x + side] = True
        facts = {"mask": encode_mask(pixels)} if mask else {}
        instances.append({"category": category, "box": [x, y, side, side], **facts})
    image = np.full((*shape, 3), 120, np.uint8)
    return Sample("k", image, {"instances": instances}, meta={"categories": list(names)})


def answer(task, sample, paint="target"):
    triplets = task.queries(sample, 0)
    queries = [triplet.query for triplet in triplets]
    sources, edited = (torch.stack([getattr(triplet, name) for triplet in triplets]) for name in ("source", paint))
    return task.combine(task.decode(edited, sources, queries), queries)


def score(task, samples, paint="target"):
    metrics = task.metrics()
    for sample in samples:
        metrics.update(answer(task, sample, paint), task.truth(task.queries(sample, 0)[0].annotation))
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.mark.parametrize("mask", [True, False])
def test_every_object_of_a_class_has_its_box(mask):
    sample = squares((5, 8, "cat"), (40, 8, "cat"), (20, 40, "dog"), mask=mask)
    found = answer(ObjectDetection(), sample).boxes
    assert found[:, 5].tolist().count(0) == 2 and found[:, 5].tolist().count(1) == 1
    assert sorted(found[:, :4].tolist()) == [[5, 8, 10, 10], [20, 40, 10, 10], [40, 8, 10, 10]]
    assert (found[:, 4] > 0.9).all() and found[:, 4].tolist() == sorted(found[:, 4].tolist(), reverse=True)


def test_objects_that_touch_stay_apart_by_the_gap():
    sample = squares((5, 8, "cat"), (15, 8, "cat"))
    boxes = sorted(answer(ObjectDetection(gap=2), sample).boxes[:, :4].tolist())
    assert boxes == [[5, 8, 8, 10], [15, 8, 10, 10]]
    assert answer(ObjectDetection(gap=0), sample).boxes[:, :4].tolist() == [[5, 8, 20, 10]]
    assert score(ObjectDetection(gap=2), [sample])["ap50"] == 1.0 > score(ObjectDetection(gap=0), [sample])["ap50"]


@pytest.mark.parametrize("shape", [(64, 64), (480, 640), (90, 30)])
def test_boxes_are_in_the_pixels_of_the_original(shape):
    side = shape[0] // 4
    sample = squares((4, side, "cat"), side=side, shape=shape)
    (found,) = answer(ObjectDetection(), sample).boxes.tolist()
    step = max(shape) / 64  # original pixels of a pixel of the model
    assert found[:4] == pytest.approx([4, side, side, side], abs=step + 0.5)


def test_drawn_scenes_are_detected_from_their_painted_truth_and_not_from_the_source():
    source = SyntheticSource("detection", split="val", count=12, seed=0)
    samples = [source.sample(index) for index in range(12)]
    painted, untouched = (score(ObjectDetection(), samples, paint) for paint in ("target", "source"))
    assert painted["ap50"] > 0.9 and untouched["ap50"] == 0.0
    baseline = ObjectDetection().baseline(
        [ObjectDetection().truth(ObjectDetection().queries(s, 0)[0].annotation) for s in samples]
    )
    assert baseline[0] == "median_box"
    assert baseline[1]({}).boxes.shape[1] == 6


@pytest.mark.parametrize(("ask", "count"), [("all", 14), ("auto", 14), ("present", None)])
def test_evaluation_asks_for_all_or_for_those_present_and_one_absent(ask, count):
    sample = SyntheticSource("detection", split="val", count=1, seed=0).sample(0)
    present = {thing.category for thing in things_of(sample)}
    asked = [triplet.query["class"] for triplet in ObjectDetection(ask=ask).queries(sample, 0)]
    assert asked == sorted(set(asked)) and set(asked) >= present
    assert len(asked) == (count or len(present) + 1)


def test_many_classes_are_not_all_asked():
    sample = squares((5, 8, "c3"), names=[f"c{n}" for n in range(30)])
    triplets = ObjectDetection().queries(sample, 0)
    assert len(triplets) == 2 and {triplet.query["asked"] for triplet in triplets} == {"present"}


def test_training_mirrors_crops_and_asks_for_absent_classes():
    task, sample = (
        ObjectDetection(negatives=0.3),
        squares((100, 8, "cat"), (104, 30, "cat"), shape=(64, 160), names=("cat", "fox")),
    )
    drawn = [task.encode(sample, 0, numpy_rng(0, n), train=True) for n in range(80)]
    painted = [triplet.answer.sum() > 0 for triplet in drawn]
    assert 0.5 < np.mean(painted) < 0.9
    for triplet, is_painted in zip(drawn, painted, strict=True):
        assert ("fox" in triplet.instruction) == (not is_painted)
        assert torch.equal(triplet.source, triplet.target) == (not is_painted)
        if is_painted:  # whatever the crop, both objects lie whole inside of it
            scale = abs(triplet.query["warp"][0][0])
            assert triplet.answer.sum() == pytest.approx(200 * scale**2, rel=0.35)
    assert {triplet.query["warp"][0][0] > 0 for triplet in drawn} == {True, False}
    assert len({abs(triplet.query["warp"][0][0]) for triplet in drawn}) > 20


def test_specks_and_unsure_regions_are_no_objects():
    task, sample = ObjectDetection(ask="present", min_pixels=8), squares((5, 8, "cat"), side=2)
    assert len(answer(task, sample).boxes) == 0
    assert len(answer(ObjectDetection(ask="present", min_pixels=4), sample).boxes) == 1
    assert len(answer(ObjectDetection(ask="present", min_pixels=4, min_score=0.9999), sample).boxes) == 0


def test_a_gap_is_on_the_side_of_the_lower_number():
    numbers = np.array([[1, 1, 1, 2, 2, 0, 3, 3]], np.uint8)
    assert apart(numbers, 1).astype(int).tolist() == [[1, 1, 0, 1, 1, 0, 1, 1]]
    assert apart(numbers, 0).all(where=numbers > 0)


def test_regions_are_connected_by_their_sides():
    scores = np.zeros((4, 5), np.float32)
    scores[0, 0] = scores[1, 1] = 0.9
    scores[2:4, 3:5] = 0.7
    assert [box for box, _ in regions(scores)] == [(0, 0, 1, 1), (1, 1, 1, 1), (3, 2, 2, 2)]
    assert regions(scores, least=2) == [((3, 2, 2, 2), pytest.approx(0.7))]
    assert regions(np.full((2, 2), np.nan, np.float32)) == regions(np.zeros((2, 2), np.float32)) == []


def test_a_filled_box_is_the_pixels_whose_centres_it_holds():
    assert np.argwhere(filled([1, 0, 2, 1], (2, 4))).tolist() == [[0, 1], [0, 2]]
    assert not filled([0.6, 0.6, 0.3, 0.3], (2, 2)).any()


def test_what_is_not_seen_has_no_box():
    sample = squares((5, 8, "cat"))
    sample.annotation["instances"].append({"category": "dog", "mask": encode_mask(np.zeros((64, 64), np.bool_))})
    assert [thing.box for thing in things_of(sample)] == [(5, 8, 10, 10), None]
    assert len(ObjectDetection().truth(ObjectDetection().queries(sample, 0)[0].annotation).boxes) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.annotation.pop("instances"), r"annotation\.instances"),
        (lambda s: s.annotation["instances"][0].update(category="cow"), r"instances\[0\]\.category"),
        (lambda s: s.annotation["instances"][0].update(mask=encode_mask(np.ones((3, 3), np.bool_))), r"\[0\]\.mask"),
        (lambda s: s.annotation["instances"].append({"category": "cat"}), r"instances\[1\]: got no mask and no box"),
        (lambda s: setattr(s, "meta", {}), r"meta\.categories"),
        (lambda s: setattr(s, "meta", {"categories": ["cat", "cat"]}), r"meta\.categories"),
        (lambda s: setattr(s, "image", s.image[..., 0]), "image"),
    ],
)
def test_bad_samples_are_named(change, field):
    sample = squares((5, 8, "cat"))
    change(sample)
    for read in (ObjectDetection().queries, lambda s, n: ObjectDetection().encode(s, n, numpy_rng(0), train=True)):
        with pytest.raises(BadSampleError, match=field):
            read(sample, 0)


@pytest.mark.parametrize("options", [{"ask": "none"}, {"min_pixels": 0}, {"gap": 9}, {"gap": -1}, {"negatives": 2}])
def test_arguments_are_checked(options):
    with pytest.raises(ConfigError):
        ObjectDetection(**options)
