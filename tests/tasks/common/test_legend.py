"""Several classes in one prompt: what is drawn, painted, worded, read back and written down."""

from collections import Counter

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.metrics.result_formats import class_mask_results, own_label_map
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import SemanticSegmentation
from idiff.types import Sample
from idiff.utils.painting import palette, rgb_values
from idiff.utils.seeds import numpy_rng
from idiff.utils.tokens import fits

CLASSES = ["background", "sky", "road", "car", "tree", "traffic light"]


def sample(classes=CLASSES, **meta):
    """Sky, road and a car between; no tree, no traffic light."""
    label = np.zeros((80, 80), np.uint8)
    label[:25], label[-25:], label[35:50, 30:50] = 1, 2, 3
    image = np.random.default_rng(0).integers(90, 160, (80, 80, 3)).astype(np.uint8)
    return Sample("a", image, {}, meta={"classes": classes, **meta}, label=label)


def plain(most=3, **arguments):
    return SemanticSegmentation(classes_per_prompt=most, augment=[], **arguments)


def classes_of(triplet):
    return triplet.query.get("indices") or [triplet.query["class"]]


def test_training_draws_one_to_as_many_classes_each_in_its_own_colour():
    task = plain(negatives=0.0)
    counts = Counter()
    for number in range(200):
        triplet = task.encode(sample(), 0, numpy_rng(0, number), train=True)
        query, count = triplet.query, len(classes_of(triplet))
        counts[count] += 1
        assert triplet.answer.shape == (count, 64, 64)
        names, colors = (query[key] if count > 1 else [query[key[:-1]]] for key in ("names", "colors"))
        assert len(set(names)) == len(set(colors)) == count
        assert all(word in triplet.instruction for word in [*names, *colors])
        for mask, color in zip(triplet.answer > 0, colors, strict=True):
            blend = 0.3 * triplet.source + 0.7 * rgb_values([palette("saturated")[color]]).view(3, 1, 1)
            assert torch.allclose(triplet.target[:, mask], blend[:, mask], atol=1e-6)
        untouched = ~triplet.answer.bool().any(dim=0)
        assert torch.equal(triplet.target[:, untouched], triplet.source[:, untouched])
    assert set(counts) == {1, 2, 3} and min(counts.values()) > 40


def test_classes_that_are_absent_from_the_picture_are_named_beside_others():
    drawn = [plain(negatives=0.3).encode(sample(), 0, numpy_rng(1, n), train=True) for n in range(150)]
    several = [triplet for triplet in drawn if len(classes_of(triplet)) > 1]
    mixed = [t for t in several if t.answer.flatten(1).any(dim=1).any() and not t.answer.flatten(1).any(dim=1).all()]
    absent = {classes_of(t)[row] for t in mixed for row in (~t.answer.flatten(1).any(dim=1)).nonzero()[:, 0].tolist()}
    assert len(mixed) > 20 and absent >= {4, 5}


def test_evaluation_asks_each_class_once_in_as_few_prompts_as_hold_them():
    for most, wanted in ((1, [1] * 5), (2, [2, 2, 1]), (3, [3, 2]), (6, [5])):
        triplets = plain(most).queries(sample(), 0)
        assert [len(classes_of(triplet)) for triplet in triplets] == wanted
        assert sorted(index for triplet in triplets for index in classes_of(triplet)) == [1, 2, 3, 4, 5]
        assert {triplet.query["split"] for triplet in triplets} == {0}
    one, several = plain(2).queries(sample(), 0)[-1], plain(2).queries(sample(), 0)[0]
    alone = plain(1).queries(sample(), 0)[classes_of(one)[0] - 1]
    assert one.instruction == alone.instruction and one.query == alone.query
    assert several.query["colors"][0] == alone.query["color"]  # the color that differs most from the image


def test_long_names_go_into_more_prompts_and_are_never_cut():
    names = ["background", *(f"extraordinarily weatherbeaten windowsill {letter}" for letter in "abcdef")]
    task = plain(6)
    triplets = task.queries(sample(names), 0)
    assert sorted(index for triplet in triplets for index in classes_of(triplet)) == [1, 2, 3, 4, 5, 6]
    assert all(fits(triplet.instruction) for triplet in triplets)
    assert triplets[0].query["split"] == len(triplets) - 1 > 0
    drawn = [task.encode(sample(names), 0, numpy_rng(2, n), train=True) for n in range(40)]
    assert all(fits(triplet.instruction) for triplet in drawn)
    with pytest.raises(BadSampleError, match=r"meta\.classes: one class makes a prompt that is too long"):
        task.queries(sample([*CLASSES[:4], " ".join(["word"] * 90)]), 0)


def answer(task, triplets, paint):
    pictures, sources = torch.stack([paint(t) for t in triplets]), torch.stack([t.source for t in triplets])
    queries = [triplet.query for triplet in triplets]
    return task.combine(task.decode(pictures, sources, queries), queries)


@pytest.mark.parametrize("most", [2, 3, 6])
def test_answers_on_drawn_scenes_are_those_of_one_class_a_prompt(most):
    scenes = SyntheticSource("segmentation", split="val", count=3, seed=1)
    scores = {}
    for count in (1, most):
        task = plain(count)
        metrics = task.metrics()
        for index in range(len(scenes)):
            triplets = task.queries(scenes.sample(index), 0)
            found = answer(task, triplets, lambda triplet: triplet.target)
            assert sorted(found.masks) == list(range(1, 15))
            metrics.update(found, task.truth(triplets[0].annotation))
        scores[count] = float(metrics.compute()["miou"])
    assert scores[most] > 0.9 and scores[most] == pytest.approx(scores[1], abs=0.03)


def test_a_class_painted_in_the_colour_of_another_is_that_other_class():
    task = plain(2)
    triplet = task.queries(sample(), 0)[0]
    first, second = (rgb_values([rgb]).view(3, 1, 1) for rgb in triplet.query["rgbs"])
    corner = torch.zeros(64, 64, dtype=torch.bool)
    corner[:32, :32] = True
    painted = torch.where(corner, 0.3 * triplet.source + 0.7 * second, triplet.source)
    (found,) = task.decode(painted[None], triplet.source[None], [triplet.query])
    one, other = (found.masks[index] for index in classes_of(triplet))
    assert not one.any() and torch.equal(other[1:31, 1:31], corner[1:31, 1:31]) and not other[40:, 40:].any()
    assert not torch.equal(first, second)


def test_masks_are_written_with_the_sets_own_values():
    task = plain(3)
    triplets = task.queries(sample(values=[0, 11, 22, 33, 44, 55]), 0)
    found, queries = answer(task, triplets, lambda triplet: triplet.target), [triplet.query for triplet in triplets]
    assert set(np.unique(own_label_map(found, queries))) == {0, 11, 22, 33}
    rows = class_mask_results(found, queries)
    assert {(row["category"], row["value"]) for row in rows} == set(zip(CLASSES[1:], range(11, 66, 11), strict=True))


def test_unseen_wordings_and_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Do {legend} now. | {object} to {color}\n", encoding="utf-8")
    told = plain(3, legend=str(path)).queries(sample(), 0)[0]
    (one, two, three), colors = told.query["names"], told.query["colors"]
    assert told.instruction == f"Do {one} to {colors[0]}, {two} to {colors[1]} and {three} to {colors[2]} now."
    unseen = plain(3, phrasings="unseen").queries(sample(), 0)[0].instruction
    assert unseen != plain(3).queries(sample(), 0)[0].instruction


@pytest.mark.parametrize("most", [0, 7, -1])
def test_there_must_be_a_colour_for_each_class(most):
    with pytest.raises(ConfigError, match="between 1 and the 6 colors of 'saturated'"):
        plain(most)
