"""What every task promises, as functions of a task. Each fails where its promise is broken."""

import copy
import inspect
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ROOT

from idiff.predictions import ImageTruth
from idiff.tasks.common.view import original_view
from idiff.types import VOID, Prediction, Sample
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import numpy_rng

TOKENIZER = ROOT / "idiff" / "assets" / "tokenizer"
EXAMPLES = 4


def examples(task):
    return [task.example(numpy_rng(0, "example", number)) for number in range(EXAMPLES)]


def answer(task, triplets, edited):
    queries = [triplet.query for triplet in triplets]
    sources = torch.stack([triplet.source for triplet in triplets])
    return task.combine(task.decode(edited, sources, queries), queries)


def score(task, paint):
    """Headline metric over the examples when the model answers with `paint(triplet)`."""
    metrics = task.metrics()
    for number, sample in enumerate(examples(task)):
        sample.key = f"example{number}"
        triplets = task.queries(sample, 0)
        metrics.update(
            answer(task, triplets, torch.stack([paint(triplet) for triplet in triplets])),
            task.truth(triplets[0].annotation),
        )
    return {name: float(value) for name, value in metrics.compute().items()}


def sides_of(task, picture):
    """What the sides of an image must be: the task's, or its own where they are multiples of 64 as in `native64`."""
    height, width = picture.shape[1:]
    native = not task.one_size and height % 64 == width % 64 == 0
    return (height, width) if native else (task.size, task.size)


def check_triplet(task, triplet):
    for picture in (triplet.source, triplet.target):
        assert picture.dtype == torch.float32
        assert picture.shape == (3, *sides_of(task, picture))
        assert picture.isfinite().all() and picture.min() >= -1 and picture.max() <= 1
    assert triplet.instruction and "{" not in triplet.instruction
    if triplet.answer is not None:
        assert triplet.answer.dtype == torch.float32 and triplet.answer.shape[1:] == triplet.source.shape[1:]
        assert triplet.answer.min() >= 0 and triplet.answer.max() <= 1
        # Everything that is not painted equals the source exactly.
        untouched = (triplet.answer == 0).all(dim=0)
        assert torch.equal(triplet.target[:, untouched], triplet.source[:, untouched])
    query = triplet.query
    assert json.loads(json.dumps(query, allow_nan=False)) == query
    assert query["task"] == task.kind
    assert query["group"].startswith(query["key"] + "/")
    assert np.asarray(query["warp"]).shape == (2, 3) and len(query["size"]) == 2


def same(one, two):
    assert one.instruction == two.instruction and one.query == two.query and one.key == two.key
    assert torch.equal(one.source, two.source) and torch.equal(one.target, two.target)


def states_what_it_is(task):
    assert task.kind and task.unit in {"picture", "instances", "phrases"}
    assert {task.headline, task.headline_of_one_prompt or task.headline} <= set(task.metrics().compute())
    measured = dict(task.metrics().items()).get(task.headline)
    assert measured is None or task.headline_lower_is_better == (measured.higher_is_better is False)


def triplets_are_sound(task):
    for train in (True, False):
        changed = 0
        for number, sample in enumerate(examples(task)):
            for draw in range(8):
                triplet = task.encode(sample, 0, numpy_rng(1, "encode", number, draw), train=train)
                check_triplet(task, triplet)
                changed += not torch.equal(triplet.source, triplet.target)
        assert changed > EXAMPLES * 8 / 2


def same_rng_same_triplet(task):
    for train in (True, False):
        sample = examples(task)[0]
        before = copy.deepcopy(sample)
        one, two = (task.encode(sample, 0, numpy_rng(2, "same"), train=train) for _ in range(2))
        same(one, two)
        assert np.array_equal(sample.image, before.image) and sample.annotation == before.annotation
        drawn = {task.encode(sample, 0, numpy_rng(2, "other", n), train=train).instruction for n in range(8)}
        given = {sample.annotation[name] for name in ("instruction",) if name in sample.annotation}
        if train:  # of several that come with the sample, training draws one
            given = set(sample.annotation.get("instructions", given))
        assert drawn <= given if given else len(drawn) > 1


def queries_are_deterministic_and_complete(task):
    for sample in examples(task):
        np.random.seed(0)
        one = task.queries(sample, 0)
        np.random.seed(1)
        two = task.queries(copy.deepcopy(sample), 0)
        assert one and len(one) == len(two)
        for first, second in zip(one, two, strict=True):
            check_triplet(task, first)
            same(first, second)
        assert len({triplet.query["group"] for triplet in one}) == 1
        assert len({triplet.key for triplet in one}) == len(one)


def queries_show_what_encode_shows(task):
    for sample in examples(task):
        shown = task.encode(sample, 0, numpy_rng(3, "shown"), train=False)
        for triplet in task.queries(sample, 0):
            assert torch.equal(triplet.source, shown.source)
            assert triplet.query["warp"] == shown.query["warp"]


def oracle_round_trip(task):
    shown, given = (
        score(task, lambda triplet, of=of: getattr(triplet, of))[task.headline] for of in ("target", "source")
    )
    painted, untouched = (
        task.headline_share(value) if task.headline_lower_is_better else value for value in (shown, given)
    )
    assert painted > 0.9
    assert not untouched > 0.5 * painted
    for triplets in (task.queries(sample, 0) for sample in examples(task)):
        truth = task.truth(triplets[0].annotation)
        for paint in ("target", "source") if isinstance(truth, ImageTruth) else ():
            made = answer(task, triplets, torch.stack([getattr(triplet, paint) for triplet in triplets])).picture
            assert torch.allclose(made, truth.picture, atol=0.01) == (paint == "target")


def decoding_one_by_one_equals_a_batch(task):
    triplets = task.queries(examples(task)[0], 0)
    targets, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in ("target", "source"))
    together = task.decode(targets, sources, [t.query for t in triplets])
    for number, triplet in enumerate(triplets):
        (alone,) = task.decode(targets[number : number + 1], sources[number : number + 1], [triplet.query])
        assert type(alone) is type(together[number])
        for name, other in vars(together[number]).items():
            if isinstance(other, torch.Tensor):
                assert torch.allclose(getattr(alone, name), other, equal_nan=True, atol=1e-5)


def decode_cannot_see_the_truth(task):
    assert list(inspect.signature(type(task).decode).parameters) == ["self", "edited", "rendered", "queries"]
    triplet = task.queries(examples(task)[0], 0)[0]
    assert not set(triplet.query) & {"annotation", "keypoints", "labels", "mask", "answer"}
    assert "annotation" not in inspect.signature(type(task).combine).parameters


def metrics_of_nothing_are_nan(task):
    assert all(math.isnan(float(value)) for value in task.metrics().compute().values())


def decodes_any_picture(task):
    triplets = task.queries(examples(task)[0], 0)
    for fill in (math.nan, 5.0, -5.0):
        prediction = answer(task, triplets, torch.full((len(triplets), *triplets[0].source.shape), fill))
        assert math.isfinite(prediction.score) and 0 <= prediction.score <= 1
        metrics = task.metrics()
        metrics.update(prediction, task.truth(triplets[0].annotation))
        assert math.isfinite(float(metrics.compute()[task.headline]))


def guess_is_a_combined_prediction(task):
    rows = [(task.queries(sample, 0)[0], sample) for sample in examples(task)]
    truths = [task.truth(triplet.annotation) for triplet, _ in rows]
    baseline = task.baseline(truths)
    if baseline is None:
        pytest.skip("no answer makes sense without the image")
    name, answer_for = baseline
    metrics = task.metrics()
    for (triplet, sample), truth in zip(rows, truths, strict=True):
        prediction = answer_for(triplet.query)
        assert isinstance(prediction, Prediction)
        assert task.render(prediction, sample.image).shape == sample.image.shape
        metrics.update(prediction, truth)
    assert name and 0 <= task.headline_share(float(metrics.compute()[task.headline])) < 1
    assert task.baseline([]) is None


def render_draws_the_answer(task):
    sample = examples(task)[0]
    triplets = task.queries(sample, 0)
    before = sample.image.copy()
    drawn = task.render(answer(task, triplets, torch.stack([t.target for t in triplets])), sample.image)
    assert drawn.dtype == np.uint8 and drawn.shape == sample.image.shape
    asked = original_view(triplets[0].source, triplets[0].query)  # what the model was shown
    assert np.array_equal(sample.image, before) and not np.array_equal(drawn, asked)


def instructions_fit_the_tokenizer(task):
    if not TOKENIZER.is_dir():
        pytest.skip("the tokenizer is not part of this tree yet")
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(TOKENIZER))
    sample = examples(task)[0]
    asked = [triplet.instruction for triplet in task.queries(sample, 0)]
    asked += [task.encode(sample, 0, numpy_rng(4, "words", n), train=True).instruction for n in range(200)]
    lengths = {words: len(tokenizer(words)["input_ids"]) for words in asked}
    longest = max(lengths, key=lengths.__getitem__)
    assert lengths[longest] <= tokenizer.model_max_length, longest


def odd(sample: Sample, height: int, width: int, seed: int, kind: str) -> Sample:
    """The sample with an image of an odd size and facts at their extremes."""
    rng = np.random.default_rng(seed)
    sample = copy.deepcopy(sample)
    sample.image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    if sample.target is not None:
        sample.target = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    if sample.label is not None:
        label = np.full((height, width), {"full": 1, "void": VOID}.get(kind, 0), np.uint8)
        if kind == "pixel":
            label[rng.integers(height), rng.integers(width)] = 2
        sample.label = label
    for name, values in sample.maps.items():
        few = {"full": [values.max()], "void": [0]}.get(kind, [values.min(), values.max()])
        sample.maps[name] = rng.choice(few, (height, width, *values.shape[2:])).astype(values.dtype)
    for instance in sample.annotation.get("instances", []):
        instance["box"] = [0.0, 0.0, 0.0 if kind == "pixel" else float(width), float(height)]
        if "mask" in instance:
            mask = np.full((height, width), kind == "full")
            if kind == "pixel":
                mask[rng.integers(height), rng.integers(width)] = True
            instance["mask"] = encode_mask(mask)
        if "keypoints" not in instance:
            continue
        joints = np.array(instance["keypoints"])
        joints[:, 0] = rng.choice([-30.0, -0.5, 0.0, width - 1.0, width - 0.5, width + 30.0], len(joints))
        joints[:, 1] = rng.choice([-30.0, -0.5, 0.0, height - 1.0, height - 0.5, height + 30.0], len(joints))
        joints[:, 2] = {"void": 0, "pixel": 1}.get(kind, 2)
        instance["keypoints"] = joints.tolist()
    return sample


def odd_inputs(task):
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(
        height=st.one_of(st.integers(1, 9), st.integers(60, 70), st.just(300)),
        width=st.one_of(st.integers(1, 9), st.integers(60, 70), st.just(300)),
        seed=st.integers(0, 99),
        kind=st.sampled_from(["empty", "pixel", "full", "void"]),
    )
    def check(height, width, seed, kind):
        sample = odd(task.example(numpy_rng(5, "odd")), height, width, seed, kind)
        for train in (True, False):
            check_triplet(task, task.encode(sample, 0, numpy_rng(6, "odd", seed), train=train))
        triplets = task.queries(sample, 0)
        for triplet in triplets:
            check_triplet(task, triplet)
        metrics = task.metrics()
        for paint in ("target", "source"):
            prediction = answer(task, triplets, torch.stack([getattr(t, paint) for t in triplets]))
            metrics.update(prediction, task.truth(triplets[0].annotation))
            assert task.render(prediction, sample.image).shape == sample.image.shape
        for value in metrics.compute().values():
            assert not math.isinf(float(value))

    check()


PROMISES = [
    states_what_it_is,
    triplets_are_sound,
    same_rng_same_triplet,
    queries_are_deterministic_and_complete,
    queries_show_what_encode_shows,
    oracle_round_trip,
    decoding_one_by_one_equals_a_batch,
    decode_cannot_see_the_truth,
    metrics_of_nothing_are_nan,
    decodes_any_picture,
    guess_is_a_combined_prediction,
    render_draws_the_answer,
    instructions_fit_the_tokenizer,
    odd_inputs,
]
