import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import ImageClassification
from idiff.types import Sample
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import numpy_rng


def sample(*things, names=("cat", "dog", "cow", "fox", "owl"), **facts):
    """A gray image with squares: (class, side)."""
    instances = []
    for place, (category, side) in enumerate(things):
        mask = np.zeros((64, 64), np.bool_)
        mask[:side, place * 20 : place * 20 + side] = True
        instances.append({"category": category, "mask": encode_mask(mask)})
    given = {"instances": instances} if things else {}
    return Sample("k", np.full((64, 64, 3), 120, np.uint8), given | facts, meta={"categories": list(names)})


def answer(task, triplets, paint="target"):
    queries = [triplet.query for triplet in triplets]
    sources, edited = (torch.stack([getattr(triplet, name) for triplet in triplets]) for name in ("source", paint))
    return task.combine(task.decode(edited, sources, queries), queries)


def score(task, samples, paint="target"):
    metrics = task.metrics()
    for one in samples:
        triplets = task.queries(one, 0)
        metrics.update(answer(task, triplets, paint), task.truth(triplets[0].annotation))
    return {name: float(value) for name, value in metrics.compute().items()}


@pytest.fixture(scope="module")
def scenes():
    source = SyntheticSource("classification", split="val", count=40, seed=0)
    return [source.sample(index) for index in range(40)]


@pytest.mark.parametrize("most", [2, 4, 6])
def test_the_painted_square_says_the_class_and_the_source_does_not(scenes, most):
    task = ImageClassification(classes_per_prompt=most)
    assert score(task, scenes) == {"accuracy": 1.0, "balanced_accuracy": 1.0}
    assert score(task, scenes, "source")["accuracy"] < 0.35


def test_all_classes_are_asked_and_one_prompt_is_painted(scenes):
    task = ImageClassification()
    for one in scenes[:8]:
        triplets = task.queries(one, 0)
        named = sorted(index for triplet in triplets for index in triplet.query["indices"])
        assert named == list(range(14)) and len(triplets) == 4
        painted = [triplet for triplet in triplets if not torch.equal(triplet.source, triplet.target)]
        assert len(painted) == 1 and one.annotation["instances"][0]["category"] in painted[0].query["names"]
        for triplet in triplets:
            pairs = zip(triplet.query["colors"], triplet.query["names"], strict=True)
            assert all(f"{color} for {name}" in triplet.instruction for color, name in pairs)
            assert (triplet.answer.sum() > 0) == (triplet is painted[0])


def test_a_prompt_of_the_right_class_among_others_where_there_are_many():
    names = [f"class {n}" for n in range(40)]
    task, places, others = ImageClassification(), set(), set()
    for number in range(60):
        one = sample(("class 7", 9), names=names)
        one.key = f"k{number}"
        (triplet,) = task.queries(one, 0)
        assert triplet.query["asked"] == "present" and len(triplet.query["indices"]) == 4
        places.add(triplet.query["indices"].index(7))
        others |= set(triplet.query["indices"])
    assert places == {0, 1, 2, 3} and len(others) > 35


def test_the_class_is_the_one_given_or_that_of_the_largest_object():
    task = ImageClassification()
    for one, right in (
        (sample(("dog", 5), ("cat", 12)), 0),
        (sample(("dog", 5), ("cat", 12), category="dog"), 1),
        (sample(category="owl"), 4),
    ):
        triplets = task.queries(one, 0)
        assert task.truth(triplets[0].annotation).category == right
        assert max(answer(task, triplets).class_scores.items(), key=lambda pair: pair[1])[0] == right


def test_what_else_the_picture_shows_is_never_named():
    task, one = ImageClassification(), sample(("dog", 5), ("cat", 12), ("fox", 4))
    asked = [index for triplet in task.queries(one, 0) for index in triplet.query["indices"]]
    assert sorted(asked) == [0, 2, 4]
    for number in range(40):
        assert set(task.encode(one, 0, numpy_rng(0, number), train=True).query["indices"]) <= {0, 2, 4}


def test_training_draws_classes_colours_and_prompts_without_a_right_one():
    task, one = ImageClassification(negatives=0.3), sample(("cat", 12))
    drawn = [task.encode(one, 0, numpy_rng(0, number), train=True) for number in range(200)]
    right = [0 in triplet.query["indices"] for triplet in drawn]
    assert 0.6 < np.mean(right) < 0.8
    places, colors = set(), set()
    for triplet, is_right in zip(drawn, right, strict=True):
        assert torch.equal(triplet.source, triplet.target) == (not is_right)
        if is_right:
            places.add(triplet.query["indices"].index(0))
            colors.add(triplet.query["colors"][triplet.query["indices"].index(0)])
    assert places == {0, 1, 2, 3} and len(colors) == 6
    assert {len(triplet.query["indices"]) for triplet in drawn} == {2, 3, 4}


def test_long_names_go_into_more_prompts_and_nothing_is_cut():
    names = [f"{word} beside the wooden cupboard of the old kitchen" for word in ("cat", "dog", "cow", "fox", "owl")]
    task, one = ImageClassification(), sample((names[0], 9), names=names)
    triplets = task.queries(one, 0)
    assert len(triplets) > 2
    assert sorted(index for triplet in triplets for index in triplet.query["indices"]) == [0, 1, 2, 3, 4]
    huge = sample(("a" + " b" * 200, 9), names=("a" + " b" * 200, "dog"))
    with pytest.raises(BadSampleError, match="too long for the text encoder"):
        task.queries(huge, 0)


def test_a_person_names_the_classes():
    task = ImageClassification()
    triplets = task.queries(task.asked(np.zeros((50, 90, 3), np.uint8), " Star, ring; MOON, star "), 0)
    assert sorted(name for triplet in triplets for name in triplet.query["names"]) == ["moon", "ring", "star"]
    with pytest.raises(ConfigError, match="names 1 class: expected two or more"):
        task.asked(np.zeros((50, 90, 3), np.uint8), "star")


def test_doubt_is_no_answer_where_a_least_score_is_asked():
    task, one = ImageClassification(min_score=0.9), sample(("cat", 12))
    triplets = task.queries(one, 0)
    assert set(answer(task, triplets, "source").class_scores.values()) == {0.0}
    assert answer(task, triplets).class_scores[0] > 0.9
    assert score(task, [one], "source")["accuracy"] == 0.0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.annotation.pop("instances"), r"annotation\.category: got none and no instances"),
        (lambda s: s.annotation.update(category="cow?"), r"annotation\.category"),
        (lambda s: s.annotation["instances"][0].update(category="cow?"), r"instances\[0\]\.category"),
        (lambda s: setattr(s, "meta", {"categories": "cat"}), r"meta\.categories"),
    ],
)
def test_bad_samples_are_named(change, field):
    one = sample(("cat", 9))
    change(one)
    with pytest.raises(BadSampleError, match=field):
        ImageClassification().queries(one, 0)


@pytest.mark.parametrize(
    "options", [{"ask": "none"}, {"classes_per_prompt": 7}, {"classes_per_prompt": 1}, {"square": 0.0}]
)
def test_arguments_are_checked(options):
    with pytest.raises(ConfigError):
        ImageClassification(**options)
