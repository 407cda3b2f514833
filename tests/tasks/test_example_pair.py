"""Tasks that show an example beside the question: the promises of every task, and what an example shows."""

import copy
import importlib
import pickle

import contract
import numpy as np
import pytest
import torch
from contract import PROMISES, examples, score
from small_models import ROOT

from idiff.config.compose import compose
from idiff.errors import ConfigError
from idiff.tasks import Captioned, ImageClassification, KeypointDetection, SemanticSegmentation
from idiff.tasks.common.shown_answers import named_in_colors
from idiff.tasks.common.view import original_view
from idiff.tasks.drawing import drawing_settings
from idiff.tasks.example_pair import with_example
from idiff.tasks.instructions.suffixes import ExampleWords
from idiff.utils.seeds import numpy_rng
from idiff.utils.tokens import fits

PATHS = sorted((ROOT / "configs" / "task").glob("*.yaml"))
OTHERWISE = {
    contract.queries_show_what_encode_shows: "each prompt has an example of its own",
    contract.same_rng_same_triplet: "a given sentence is followed by one of the bank",
}
"""Promises that are kept in another way; the tests below say how."""
KEPT = [promise for promise in PROMISES if promise not in OTHERWISE]
SIDE = 64


def plain(path, **change):
    entry = compose([str(path)])["task"]
    module, _, name = entry["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**entry.get("init_args", {}) | change)


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.stem)
def task(request):
    return with_example(plain(request.param, size=2 * SIDE), "pair")


@pytest.fixture(scope="module")
def segmentation():
    return with_example(SemanticSegmentation(size=2 * SIDE), "pair")


def cells(image):
    """Upper left, upper right, lower left, lower right."""
    return [half for row in image.split(image.shape[1] // 2, 1) for half in row.split(image.shape[2] // 2, 2)]


@pytest.mark.parametrize("promise", KEPT, ids=lambda promise: promise.__name__)
def test_promise(task, promise):
    promise(task)


def test_the_lower_row_is_what_the_task_alone_sees_at_half_the_size(task):
    for sample in examples(task):
        shown = [cells(triplet.source)[2:] for triplet in task.queries(sample, 0)]
        alone = task.cell.queries(sample, 0)
        assert len(shown) == len(alone)
        for (left, right), one in zip(shown, alone, strict=True):
            assert torch.equal(left, one.source) and torch.equal(right, one.source)
        drawn = task.encode(sample, 0, numpy_rng(0, "drawn"), train=False)
        assert torch.equal(cells(drawn.source)[2], alone[0].source)


def test_it_scores_what_the_task_scores_at_half_the_size(task):
    for paint in ("target", "source"):
        beside, alone = (score(one, lambda triplet, of=paint: getattr(triplet, of)) for one in (task, Alone(task)))
        assert beside == pytest.approx(alone, nan_ok=True)


class Alone:
    """The cell's task, on the samples of the whole."""

    def __init__(self, task):
        self.task, self.example = task.cell, task.example

    def __getattr__(self, name):
        return getattr(self.task, name)


def test_training_draws_by_the_rng_alone(task):
    sample = examples(task)[0]
    one, two = (task.encode(copy.deepcopy(sample), 0, numpy_rng(2, "same"), train=True) for _ in range(2))
    contract.same(one, two)
    drawn = [task.encode(sample, 0, numpy_rng(2, "other", number), train=True) for number in range(8)]
    given = sample.annotation.get("instruction", "")
    assert len({one.instruction for one in drawn}) > 1 and all(one.instruction.startswith(given) for one in drawn)
    assert {one.query["example"] for one in drawn} - {None}


def test_an_example_shows_what_the_question_names_in_its_colors(task):
    shown = 0
    for number, sample in enumerate(examples(task)):
        for draw in range(6):
            triplet = task.encode(sample, 0, numpy_rng(3, number, draw), train=True)
            source, target, *_ = cells(triplet.source)
            if triplet.query["example"] is None:
                assert not source.any() and not target.any()
                continue
            shown += 1
            changed = (source != target).any(dim=0)
            assert changed.any() and not torch.equal(source, cells(triplet.source)[2])
            share = triplet.query.get("transparency", 0.0)
            rgbs = [torch.tensor(rgb).view(3, 1, 1) / 127.5 - 1 for _, rgb in named_in_colors(triplet.query)]
            made = [(share * source + (1 - share) * rgb - target).abs().amax(dim=0) < 1e-3 for rgb in rgbs]
            assert not rgbs or torch.stack(made).any(dim=0)[changed].all()
    assert shown > 8


def test_the_first_that_shows_the_class_is_taken(segmentation):
    sample = segmentation.example(numpy_rng(0, "classes"))
    (first, _), *rest = sample.examples
    empty = copy.deepcopy(first)
    empty.key, empty.label = "empty", np.zeros_like(first.label)
    sample.examples = [(empty, 0), (first, 0), *rest]
    for triplet in segmentation.queries(sample, 0):
        index = triplet.query["class"]
        fitting = [other.key for other, _ in sample.examples if (other.label == index).any()]
        assert triplet.query["example"] == (fitting[0] if fitting else None)


def test_without_a_fitting_example_the_upper_row_is_gray_and_no_sentence_speaks_of_it(segmentation):
    sample = segmentation.example(numpy_rng(0, "none"))
    for others in ([], [(copy.deepcopy(sample), 0)]):
        for other, _ in others:
            other.label = np.zeros_like(other.label)
        sample.examples = others
        for triplet, alone in zip(segmentation.queries(sample, 0), segmentation.cell.queries(sample, 0), strict=True):
            assert triplet.query["example"] is None and triplet.instruction == alone.instruction
            assert not triplet.source[:, :SIDE].any()


def test_a_bad_example_is_passed_over(segmentation):
    sample = segmentation.example(numpy_rng(0, "bad"))
    (bad, _), *rest = sample.examples
    bad.label = None
    kept = {one.query["example"] for one in segmentation.queries(sample, 0)}
    assert kept <= {None, *(other.key for other, _ in rest)} and kept != {None}


def test_a_class_is_shown_in_the_color_that_stands_for_it():
    task = with_example(ImageClassification(size=2 * SIDE), "pair")
    sample = task.example(numpy_rng(0, "right"))
    for draw in range(20):
        triplet = task.encode(sample, 0, numpy_rng(1, draw), train=True)
        if triplet.query["example"] is None:
            continue
        other = next(other for other, _ in sample.examples if other.key == triplet.query["example"])
        right = task.cell.queries(other, 0)[0].annotation["category"]
        rgb = triplet.query["rgbs"][triplet.query["indices"].index(right)]
        middle = cells(triplet.source)[1][:, SIDE // 2, SIDE // 2]
        under = cells(triplet.source)[0][:, SIDE // 2, SIDE // 2]
        share = triplet.query["transparency"]
        assert torch.allclose(middle, share * under + (1 - share) * (torch.tensor(rgb) / 127.5 - 1), atol=1e-4)


def test_the_sentence_fits_or_is_left_out():
    words = ExampleWords()
    assert words.after("Paint the dog red", words.templates[0]) == "Paint the dog red. Do it as in the example."
    assert words.after("Is there a dog? Paint it red!", "See the example above.").endswith(
        "red! See the example above."
    )
    long = "Paint " + "the dog and " * 40
    assert words.after(long, words.templates[0]) == long
    nearly = next(
        "Paint " + "the dog " * count for count in range(40, 0, -1) if fits(f"{'Paint ' + 'the dog ' * count}.")
    )
    assert all(fits(words.after(nearly, one)) for one in words.templates)
    tight = f"{nearly.rstrip()}."
    assert ExampleWords("unseen").after(tight, "Use the first row as a guide.") in {
        tight,
        f"{tight} Imitate the example.",
    }


def test_evaluation_speaks_as_it_is_told():
    seen, unseen = ExampleWords(), ExampleWords("unseen")
    keys = [f"{number}/0" for number in range(200)]
    assert {seen.asking(key) for key in keys} == {seen.templates[0]}
    assert {unseen.asking(key) for key in keys} == set(unseen.unseen) and not set(unseen.unseen) & set(seen.templates)
    assert len(seen.templates) == len(set(seen.templates)) >= 10
    task = with_example(SemanticSegmentation(size=2 * SIDE, phrasings="unseen"), "pair")
    asked = [one for one in task.queries(task.example(numpy_rng(0, "unseen")), 0) if one.query["example"]]
    assert asked and all(one.instruction.endswith(unseen.unseen) for one in asked)


def test_a_picture_of_the_original_is_cut_out_of_its_cell(segmentation):
    sample = segmentation.example(numpy_rng(0, "original"))
    triplet, alone = segmentation.queries(sample, 0)[0], segmentation.cell.queries(sample, 0)[0]
    assert np.array_equal(original_view(triplet.source, triplet.query), original_view(alone.source, alone.query))


def test_it_goes_to_another_process(segmentation):
    segmentation.more_metrics = {}
    sample = segmentation.example(numpy_rng(0, "sent"))
    there = pickle.loads(pickle.dumps(segmentation))
    for one, two in zip(segmentation.queries(sample, 0), there.queries(sample, 0), strict=True):
        contract.same(one, two)


def test_a_cache_is_drawn_with_it_or_without(segmentation):
    with_it, without = drawing_settings(segmentation), drawing_settings(segmentation.wrapped)
    assert without.items() < with_it.items() and with_it["example"] == "pair"


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: SemanticSegmentation(size=65), "the size 65"),
        (lambda: SemanticSegmentation(size=8), "the size 8"),
        (lambda: SemanticSegmentation(frame="native64", size=192), "native64"),
        (lambda: KeypointDetection(size=32, radius_share=0.05), "in cells of 16 px"),
        (lambda: Captioned(size=64), "from words alone"),
    ],
)
def test_tasks_that_cannot_be_painted_in_cells_are_refused(made, says):
    with pytest.raises(ConfigError, match=says):
        with_example(made(), "pair")


def test_an_unknown_kind_of_example_is_refused(segmentation):
    with pytest.raises(ConfigError, match="did you mean 'pair'"):
        with_example(SemanticSegmentation(), "pairs")
    assert with_example(segmentation, "pair") is segmentation and with_example(segmentation, None) is segmentation


def test_a_question_without_an_example_at_hand_says_how_to_give_one(segmentation):
    sample = segmentation.example(numpy_rng(0, "none"))
    sample.examples = None
    with pytest.raises(ConfigError, match="with_example"):
        segmentation.queries(sample, 0)
