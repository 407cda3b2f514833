"""Instances: a color for each object from left to right, masks read off the colors, more objects than colors, both families."""

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import InstanceSegmentation
from idiff.types import Sample
from idiff.utils.images import to_picture, to_tensor
from idiff.utils.masks import decode_mask, encode_mask
from idiff.utils.seeds import numpy_rng


def squares(*places, side=10, shape=(64, 64), names=("cat", "dog"), crowds=()):
    """A gray image with squares: (x, y, class)."""
    instances = []
    for x, y, category in (*places, *crowds):
        pixels = np.zeros(shape, np.bool_)
        pixels[y : y + side, x : x + side] = True
        instances.append({"category": category, "box": [x, y, side, side], "mask": encode_mask(pixels)})
    facts = {"instances": instances[: len(places)]} | ({"crowds": instances[len(places) :]} if crowds else {})
    return Sample("k", np.full((*shape, 3), 120, np.uint8), facts, meta={"categories": list(names)})


def answer(task, sample, paint=lambda triplet: triplet.target):
    triplets = task.queries(sample, 0)
    queries = [triplet.query for triplet in triplets]
    sources, edited = torch.stack([one.source for one in triplets]), torch.stack([paint(one) for one in triplets])
    return task.combine(task.decode(edited, sources, queries), queries)


def score(task, samples, paint=lambda triplet: triplet.target):
    metrics = task.metrics()
    for sample in samples:
        metrics.update(answer(task, sample, paint), task.truth(task.queries(sample, 0)[0].annotation))
    return {name: float(value) for name, value in metrics.compute().items()}


def colors_of(triplet):
    """Index of the color at the first pixel of each painted object, by its left edge."""
    maps = triplet.answer.numpy() > 0
    edges = {place: np.flatnonzero(one.any(axis=0))[0] for place, one in enumerate(maps) if one.any()}
    return [place for place, _ in sorted(edges.items(), key=lambda pair: pair[1])]


def test_colors_go_from_left_to_right_and_touching_objects_stay_apart():
    task, sample = InstanceSegmentation(ask="present"), squares((40, 8, "cat"), (5, 20, "cat"), (15, 20, "cat"))
    triplet = task.queries(sample, 0)[0]
    assert colors_of(triplet) == [0, 1, 2]
    red = triplet.target[:, 25, 6]
    assert torch.allclose(red, 0.3 * triplet.source[:, 25, 6] + 0.7 * torch.tensor([1.0, -1.0, -1.0]), atol=1e-6)
    found = answer(task, sample)
    true = [decode_mask(one["mask"]) for one in sample.annotation["instances"]]
    assert {mask.numpy().tobytes() for mask in found.masks} == {mask.tobytes() for mask in true}
    assert (found.sure > 0.9).all() and found.classes.tolist() == [0, 0, 0]
    assert score(task, [sample]) == {"ap": 1, "ap50": 1, "ap75": 1, "count_error": 0, "beyond_colors": 0}


def test_a_mirrored_view_is_colored_from_its_own_left():
    task, sample = (
        InstanceSegmentation(flip=1.0, negatives=0.0, augment=[]),
        squares((5, 8, "cat"), (40, 8, "cat"), side=14),
    )
    for number in range(8):
        triplet = task.encode(sample, 0, numpy_rng(0, number), train=True)
        assert triplet.query["warp"][0][0] < 0 and colors_of(triplet) == [0, 1]


@pytest.mark.parametrize(("palette", "colors"), [("saturated", 6), ("paper", 10)])
def test_more_objects_than_colors_are_said_counted_and_missed(palette, colors):
    places = [(6 * n, 8 * (n % 2), "cat") for n in range(8)]
    sample = squares(*places, side=5)
    sample.annotation["instances"][2]["mask"] = encode_mask(np.pad(np.ones((3, 5), bool), ((0, 61), (12, 47))))
    task = InstanceSegmentation(palette=palette, min_pixels=4)
    triplets = task.queries(sample, 0)
    beyond = max(8 - colors, 0)
    assert triplets[0].annotation["beyond"] == beyond and "beyond" not in triplets[0].query
    painted = (triplets[0].answer.flatten(1).sum(dim=1) > 0).sum()
    assert int(painted) == min(8, colors)
    figures = score(task, [sample])
    assert figures["beyond_colors"] == beyond / 8 and figures["count_error"] == beyond
    assert figures["ap50"] == pytest.approx((8 - beyond) / 8, abs=0.02)
    if beyond:  # the smallest one is among those that are left out
        assert not triplets[0].answer[:, 0:3, 12:17].any()


def test_drawn_scenes_of_both_families_come_back_from_their_painted_truth_and_not_from_the_source():
    for family in ("flat", "solids"):
        source = SyntheticSource("instances", split="val", count=6, family=family)
        samples, task = [source.sample(index) for index in range(6)], InstanceSegmentation()
        eight = score(task, samples, lambda triplet: to_tensor(to_picture(triplet.target)))
        assert eight["ap"] > 0.98 and eight["count_error"] == 0
        assert score(task, samples, lambda triplet: triplet.source)["ap"] == 0
        truths = [task.truth(task.queries(sample, 0)[0].annotation) for sample in samples]
        name, guess = task.baseline(truths)
        metrics = task.metrics()
        for truth, sample in zip(truths, samples, strict=True):
            metrics.update(guess(task.queries(sample, 0)[0].query), truth)
        assert name == "median_box" and 0 <= float(metrics.compute()["ap"]) < 0.2


def test_instances_see_the_scenes_of_detection():
    one, other = (SyntheticSource(task, split="val", count=3, seed=2) for task in ("instances", "detection"))
    for index in range(3):
        assert np.array_equal(one.sample(index).image, other.sample(index).image)
        assert one.sample(index).annotation["instances"] == other.sample(index).annotation["instances"]
    assert one.tasks == ("instances",) and one.meta() == other.meta()


def test_specks_of_a_color_belong_to_no_object_and_parts_of_one_do():
    task, sample = InstanceSegmentation(ask="present", min_pixels=8), squares((5, 8, "cat"))
    pixels = decode_mask(sample.annotation["instances"][0]["mask"]).copy()
    pixels[40:46, 50:56] = True  # the other part of what something hides
    sample.annotation["instances"][0]["mask"] = encode_mask(pixels)

    def with_specks(triplet):
        target = triplet.target.clone()
        if triplet.query["name"] == "cat":
            target[:, 60:62, 2:5] = target[:, 8, 5][:, None, None]  # six pixels of the first color
            target[:, 60:62, 20:23] = torch.tensor([-1.0, 1.0, -1.0])[:, None, None]  # and of another one
        return target

    found = answer(task, sample, with_specks)
    assert len(found.masks) == 1 and np.array_equal(found.masks[0].numpy(), pixels)
    assert len(answer(InstanceSegmentation(ask="present", min_pixels=4), sample, with_specks).masks) == 2
    assert len(answer(InstanceSegmentation(ask="present", min_score=0.9999), sample).masks) == 0


@pytest.mark.parametrize("shape", [(480, 640), (90, 30)])
def test_masks_are_in_the_pixels_of_the_original(shape):
    sample = squares((4, shape[0] // 3, "cat"), side=160 if shape[0] > 100 else 20, shape=shape)
    found = answer(InstanceSegmentation(), sample)
    true = decode_mask(sample.annotation["instances"][0]["mask"])
    (mask,) = found.masks.numpy()
    assert mask.shape == shape and (mask & true).sum() / (mask | true).sum() > 0.85


def test_training_asks_for_absent_classes_and_paints_nothing_then():
    task, sample = InstanceSegmentation(negatives=0.3), squares((5, 8, "cat"), (40, 30, "cat"), names=("cat", "fox"))
    drawn = [task.encode(sample, 0, numpy_rng(0, number), train=True) for number in range(60)]
    painted = [bool(triplet.answer.any()) for triplet in drawn]
    assert 0.5 < np.mean(painted) < 0.9
    for triplet, is_painted in zip(drawn, painted, strict=True):
        assert ("fox" in triplet.instruction) == (not is_painted)
        assert torch.equal(triplet.source, triplet.target) == (not is_painted)


def test_crowds_are_not_painted_and_cost_nothing():
    task, sample = InstanceSegmentation(), squares((5, 8, "cat"), crowds=[(40, 40, "cat")])
    triplets = task.queries(sample, 0)
    assert int(triplets[0].answer.sum()) == 100 and triplets[0].annotation["crowds"] == [False, True]

    def all_of_it(triplet):
        target = triplet.target.clone()
        if triplet.query["name"] == "cat":
            target[:, 40:50, 40:50] = torch.tensor([-1.0, 1.0, -1.0])[:, None, None]
        return target

    assert len(answer(task, sample, all_of_it).masks) == 2
    assert score(task, [sample], all_of_it)["ap"] == 1.0
    sample.annotation["crowds"][0]["category"] = "cow"
    with pytest.raises(BadSampleError, match=r"annotation\.crowds\[0\]"):
        task.queries(sample, 0)


def test_one_prompt_is_scored_against_its_own_class():
    task, sample = InstanceSegmentation(), squares((5, 8, "cat"), (30, 8, "dog"), (45, 8, "dog"))
    cat, dog = task.queries(sample, 0)
    for triplet, count in ((cat, 1), (dog, 2)):
        truth = task.truth_of_prompt(triplet.annotation, triplet.query)
        assert len(truth.masks) == len(truth.crowds) == count and set(truth.classes) == {triplet.query["class"]}


def test_what_is_stored_and_drawn():
    task, sample = InstanceSegmentation(), squares((5, 8, "cat"), (40, 8, "cat"))
    found = answer(task, sample)
    (numbers,) = task.stored(found).values()
    assert numbers.dtype == np.uint16 and set(np.unique(numbers)) == {0, 1, 2}
    assert all(np.array_equal(numbers == place + 1, mask.numpy()) for place, mask in enumerate(found.masks))
    drawn = task.render(found, sample.image)
    assert (drawn != sample.image).any(axis=-1).sum() == 200
    assert (drawn[10, 6] != drawn[10, 41]).any()


@pytest.mark.parametrize("options", [{"gap": 2}, {"min_pixels": 0}, {"palette": "none"}])
def test_arguments_are_checked(options):
    with pytest.raises((ConfigError, TypeError)):
        InstanceSegmentation(**options)
