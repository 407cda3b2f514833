"""What every task promises, checked for each YAML under configs/task without naming one."""

import copy
import importlib
import inspect
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiff.tasks.base import Task
from idiff.types import VOID, Prediction, Sample
from idiff.utils.seeds import numpy_rng

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "configs" / "task").glob("*.yaml"))
TOKENIZER = ROOT / "idiff" / "assets" / "tokenizer"
EXAMPLES = 4


def build(path):
    entry = yaml.safe_load(path.read_text())["task"]
    module, _, name = entry["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**entry["init_args"])


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def task(request) -> Task:
    return build(request.param)


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


def check_triplet(task, triplet):
    for picture in (triplet.source, triplet.target):
        assert picture.dtype == torch.float32
        assert picture.shape == (3, task.size, task.size)
        assert picture.isfinite().all() and picture.min() >= -1 and picture.max() <= 1
    assert triplet.instruction and "{" not in triplet.instruction
    if triplet.answer is not None:
        assert triplet.answer.dtype == torch.float32 and triplet.answer.shape[1:] == (task.size, task.size)
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


def test_there_are_tasks():
    assert {path.stem for path in CONFIGS} >= {"segmentation", "keypoints"}


def test_states_what_it_is(task):
    assert task.kind and task.unit in {"picture", "instances", "phrases"}
    assert task.headline in task.metrics().compute()


@pytest.mark.parametrize("train", [True, False])
def test_triplets(task, train):
    changed = 0
    for number, sample in enumerate(examples(task)):
        for draw in range(8):
            triplet = task.encode(sample, 0, numpy_rng(1, "encode", number, draw), train=train)
            check_triplet(task, triplet)
            changed += not torch.equal(triplet.source, triplet.target)
    assert changed > EXAMPLES * 8 / 2


@pytest.mark.parametrize("train", [True, False])
def test_same_rng_same_triplet(task, train):
    sample = examples(task)[0]
    before = copy.deepcopy(sample)
    one, two = (task.encode(sample, 0, numpy_rng(2, "same"), train=train) for _ in range(2))
    same(one, two)
    assert np.array_equal(sample.image, before.image) and sample.annotation == before.annotation
    drawn = {task.encode(sample, 0, numpy_rng(2, "other", n), train=train).instruction for n in range(8)}
    assert len(drawn) > 1


def test_queries_are_deterministic_and_complete(task):
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


def test_queries_show_what_encode_shows(task):
    for sample in examples(task):
        shown = task.encode(sample, 0, numpy_rng(3, "shown"), train=False)
        for triplet in task.queries(sample, 0):
            assert torch.equal(triplet.source, shown.source)
            assert triplet.query["warp"] == shown.query["warp"]


def test_oracle_round_trip(task):
    painted = score(task, lambda triplet: triplet.target)[task.headline]
    untouched = score(task, lambda triplet: triplet.source)[task.headline]
    assert painted > 0.9
    assert not untouched > 0.5 * painted


def test_decoding_one_by_one_equals_a_batch(task):
    triplets = task.queries(examples(task)[0], 0)
    targets, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in ("target", "source"))
    together = task.decode(targets, sources, [t.query for t in triplets])
    for number, triplet in enumerate(triplets):
        (alone,) = task.decode(targets[number : number + 1], sources[number : number + 1], [triplet.query])
        for name in ("mask", "scores", "keypoints", "picture"):
            one, other = getattr(alone, name), getattr(together[number], name)
            assert one is None if other is None else torch.allclose(one, other, equal_nan=True, atol=1e-5)


def test_decode_cannot_see_the_truth(task):
    assert list(inspect.signature(type(task).decode).parameters) == ["self", "edited", "rendered", "queries"]
    triplet = task.queries(examples(task)[0], 0)[0]
    assert not set(triplet.query) & {"annotation", "keypoints", "labels", "mask", "answer"}
    assert "annotation" not in inspect.signature(type(task).combine).parameters


def test_metrics_of_nothing_are_nan(task):
    assert all(math.isnan(float(value)) for value in task.metrics().compute().values())


@pytest.mark.parametrize("fill", [math.nan, 5.0, -5.0])
def test_decodes_any_picture(task, fill):
    triplets = task.queries(examples(task)[0], 0)
    prediction = answer(task, triplets, torch.full((len(triplets), 3, task.size, task.size), fill))
    assert math.isfinite(prediction.score) and 0 <= prediction.score <= 1
    metrics = task.metrics()
    metrics.update(prediction, task.truth(triplets[0].annotation))
    assert math.isfinite(float(metrics.compute()[task.headline]))


def test_guess_is_a_combined_prediction(task):
    rows = [(task.queries(sample, 0)[0], sample) for sample in examples(task)]
    truths = [task.truth(triplet.annotation) for triplet, _ in rows]
    guess = task.guess(truths)
    if guess is None:
        pytest.skip("no answer makes sense without the picture")
    name, answer_for = guess
    metrics = task.metrics()
    for (triplet, sample), truth in zip(rows, truths, strict=True):
        prediction = answer_for(triplet.query)
        assert isinstance(prediction, Prediction)
        assert task.render(prediction, sample.image).shape == sample.image.shape
        metrics.update(prediction, truth)
    assert name and 0 <= float(metrics.compute()[task.headline]) < 1
    assert task.guess([]) is None


def test_render_draws_the_answer(task):
    sample = examples(task)[0]
    triplets = task.queries(sample, 0)
    before = sample.image.copy()
    drawn = task.render(answer(task, triplets, torch.stack([t.target for t in triplets])), sample.image)
    assert drawn.dtype == np.uint8 and drawn.shape == sample.image.shape
    assert np.array_equal(sample.image, before) and not np.array_equal(drawn, before)


def test_instructions_fit_the_tokenizer(task):
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
    """The sample with a picture of an odd size and facts at their extremes."""
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
    for instance in sample.annotation.get("instances", []):
        joints = np.array(instance["keypoints"])
        joints[:, 0] = rng.choice([-30.0, -0.5, 0.0, width - 1.0, width - 0.5, width + 30.0], len(joints))
        joints[:, 1] = rng.choice([-30.0, -0.5, 0.0, height - 1.0, height - 0.5, height + 30.0], len(joints))
        joints[:, 2] = {"void": 0, "pixel": 1}.get(kind, 2)
        box = [0.0, 0.0, 0.0 if kind == "pixel" else float(width), float(height)]
        instance.update(keypoints=joints.tolist(), box=box)
    return sample


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    height=st.one_of(st.integers(1, 9), st.integers(60, 70), st.just(300)),
    width=st.one_of(st.integers(1, 9), st.integers(60, 70), st.just(300)),
    seed=st.integers(0, 99),
    kind=st.sampled_from(["empty", "pixel", "full", "void"]),
)
def test_odd_inputs(task, height, width, seed, kind):
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
