import copy
import pickle

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.metrics.result_formats import own_label_map
from idiff.tasks import SemanticSegmentation
from idiff.tasks.common.region_masks import mask_prediction
from idiff.types import WIDE_VOID, Sample
from idiff.utils.painting import palette, rgb_values
from idiff.utils.seeds import numpy_rng

CLASSES = ["background", "sky", "road", "car", "tree"]


def sample(key="a", height=80, width=120, classes=CLASSES):
    """Sky over a road; background between; no car, no tree."""
    label = np.zeros((height, width), np.uint8)
    label[: height // 3], label[-height // 3 :] = 1, 2
    label[:, :4] = 255
    image = np.random.default_rng(0).integers(90, 160, (height, width, 3)).astype(np.uint8)
    return Sample(key=key, image=image, annotation={}, meta={"classes": classes}, label=label)


def plain(**kwargs):
    return SemanticSegmentation(**{"augment": [], **kwargs})


def draws(task, count=300, train=True, data=None):
    return [task.encode(data or sample(), 0, numpy_rng(0, n), train=train) for n in range(count)]


def test_absent_classes_are_absent_from_the_whole_picture():
    """A class cropped away is never asked as a negative, and a negative's target is its source."""
    data = sample()
    data.label[:10, 100:] = 3  # a car in one corner, cropped away now and then
    negatives = 0
    for triplet in draws(plain(), data=data):
        if torch.equal(triplet.target, triplet.source):
            assert triplet.query["name"] == "tree"
            assert triplet.answer.sum() == 0
            negatives += 1
        else:
            assert triplet.query["name"] in {"sky", "road", "car"}
    assert negatives / 300 == pytest.approx(0.2, abs=0.07)


def test_neighbouring_present_classes_are_never_taken_for_absent_ones():
    """Taking present classes out of a list while walking it skips every second one of a run, which then counts as absent."""
    classes = ["background", *(f"thing {n}" for n in range(1, 13))]
    data = sample(classes=classes)
    present = {2, 3, 4, 5, 9}
    data.label[:] = np.array(sorted(present))[np.arange(data.label.size) % len(present)].reshape(data.label.shape)
    walked = list(range(1, 13))
    for index in walked:
        if index in present:
            walked.remove(index)
    assert set(walked) & present  # the mistake shows on this image
    asked = {triplet.query["class"] for triplet in draws(plain(negatives=1.0), 200, data=data)}
    assert asked == set(range(1, 13)) - present
    absent = set()
    for number in range(60):
        triplets = plain(ask="present").queries(
            Sample(str(number), data.image, {}, meta=data.meta, label=data.label), 0
        )
        empty = [triplet.query["class"] for triplet in triplets if not triplet.answer.any()]
        assert empty == [triplets[0].annotation["absent"]]
        absent.update(empty)
    assert absent == asked


@pytest.mark.parametrize("negatives", [0.0, 1.0])
def test_share_of_negatives(negatives):
    names = {triplet.query["name"] for triplet in draws(plain(negatives=negatives), 60)}
    assert names == ({"car", "tree"} if negatives else {"sky", "road"})


def test_background_and_void_are_never_asked_or_painted():
    task = plain()
    for triplet in [*draws(task, 60), *task.queries(sample(), 0)]:
        assert triplet.query["class"] in {1, 2, 3, 4}
    whole = task.encode(sample(), 0, numpy_rng(0, 1), train=False)
    assert not whole.answer[0, :, :2].any()  # void columns


def test_the_target_is_the_written_blend():
    for triplet in draws(plain(negatives=0.0, transparency=0.5), 10):
        inside = triplet.answer[0] > 0
        color = rgb_values([triplet.query["rgb"]]).view(3, 1)
        assert inside.any()
        assert torch.allclose(triplet.target[:, inside], 0.5 * triplet.source[:, inside] + 0.5 * color, atol=1e-6)
        assert torch.equal(triplet.target[:, ~inside], triplet.source[:, ~inside])
        assert triplet.query["color"] in triplet.instruction and triplet.query["name"] in triplet.instruction
        assert tuple(triplet.query["rgb"]) == palette("saturated")[triplet.query["color"]]


def test_tiny_parts_are_not_drawn():
    data = sample()
    data.label[40, 60] = 3
    assert all(triplet.query["name"] != "car" for triplet in draws(plain(negatives=0.0), 60, data=data))
    assert any(t.query["name"] == "car" for t in draws(plain(negatives=0.0, min_pixels=1), 60, False, data))


def test_all_colors_and_sentences_are_drawn():
    triplets = draws(plain())
    assert {triplet.query["color"] for triplet in triplets} == set(palette("saturated"))
    assert len({triplet.instruction.replace(triplet.query["name"], "") for triplet in triplets}) > 40


def test_flip_moves_labels_with_the_picture():
    data = sample()
    data.label[:, 60:] = 0
    data.image[:, 60:] = 0
    sides = set()
    for triplet in draws(plain(negatives=0.0, crop=False), 40, data=data):
        dark = triplet.source.mean(dim=0) < -0.9
        left = bool(dark[:, :32].float().mean() > dark[:, 32:].float().mean())
        sides.add(left)
        assert not (triplet.answer[0].bool() & dark).any()
    assert sides == {True, False}


def test_queries_ask_every_class_of_small_sets():
    task = plain()
    queries = [triplet.query for triplet in task.queries(sample(), 0)]
    assert [query["name"] for query in queries] == CLASSES[1:]
    assert len({query["color"] for query in queries}) == 1
    assert queries[0]["background"] == 0 and queries[0]["size"] == [80, 120]


def test_queries_of_large_sets_ask_what_is_there_and_one_more():
    many = ["background", *(f"thing {n}" for n in range(1, 30))]
    asked = [t.query["class"] for t in plain().queries(sample(classes=many), 0)]
    assert asked[:2] == [1, 2] and len(asked) == 3
    absent = {plain().queries(sample(key, classes=many), 0)[-1].query["class"] for key in "abcdefgh"}
    assert len(absent) > 3 and not absent & {0, 1, 2}
    triplets = plain(ask="present").queries(sample(), 0)
    assert triplets[-1].query["class"] == plain().truth(triplets[0].annotation).absent
    assert [t.query["class"] for t in plain(ask="all").queries(sample(classes=many), 0)] == list(range(1, 30))


def test_the_color_of_queries_hangs_on_the_picture_alone():
    one, other = sample(), sample()
    other.label[:] = 4
    task = plain()
    assert {t.query["color"] for t in task.queries(one, 0)} == {t.query["color"] for t in task.queries(other, 0)}
    one.image[:] = (0, 255, 0)
    assert task.queries(one, 0)[0].query["color"] == "magenta"


def combined(task, scores):
    triplets = task.queries(sample(), 0)
    rows = [mask_prediction(t.query, torch.full((64, 64), value)) for t, value in zip(triplets, scores, strict=True)]
    return task.combine(rows, [t.query for t in triplets])


def test_classes_merge_by_score():
    assert (combined(plain(), [0.6, 0.9, 0.7, 0.1]).labels == 2).all()
    nothing = combined(plain(), [0.3, 0.4, 0.2, 0.1])
    assert (nothing.labels == 0).all() and not any(mask.any() for mask in nothing.masks.values())
    assert {index: bool(mask.all()) for index, mask in combined(plain(), [0.6, 0.9, 0.7, 0.1]).masks.items()} == {
        1: True, 2: True, 3: True, 4: False,
    }  # fmt: skip


def test_without_a_background_the_best_class_wins():
    task = plain()
    data = sample(classes=["sky", "road", "car", "tree"])
    data.label[data.label == 0] = 3
    triplets = task.queries(data, 0)
    rows = [mask_prediction(t.query, torch.full((64, 64), 0.1 * n)) for n, t in enumerate(triplets)]
    assert (task.combine(rows, [t.query for t in triplets]).labels == 3).all()


def test_answers_lie_in_the_pixels_of_the_original():
    task = plain()
    triplets = task.queries(sample(), 0)
    targets, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in ("target", "source"))
    queries = [t.query for t in triplets]
    prediction = task.combine(task.decode(targets, sources, queries), queries)
    truth = task.truth(triplets[0].annotation)
    assert prediction.labels.shape == truth.labels.shape == (80, 120)
    known = truth.labels != 255
    assert (prediction.labels == truth.labels)[known].float().mean() > 0.96


def test_guess_is_the_largest_class():
    task = plain()
    truth = task.truth(task.queries(sample(), 0)[0].annotation)
    name, answer = task.baseline([truth])
    labels = truth.labels[truth.labels != 255]
    assert name == "largest_class"
    assert (answer(task.queries(sample(), 0)[0].query).labels == labels.mode().values).all()


def change(**fields):
    data = copy.deepcopy(sample())
    for name, value in fields.items():
        setattr(data, name, value)
    return data


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (change(label=None), "label"),
        (change(label=np.zeros((3, 3), np.uint8)), "label"),
        (change(label=np.zeros((80, 120), np.int64)), "label"),
        (change(label=np.full((80, 120), 5, np.uint8)), "label"),
        (change(meta={}), "meta.classes"),
        (change(meta={"classes": ["background"]}), "meta.classes"),
        (change(image=np.zeros((80, 120), np.uint8)), "image"),
    ],
)
def test_bad_samples_are_named(data, field):
    for call in (lambda: plain().encode(data, 0, numpy_rng(0), train=True), lambda: plain().queries(data, 0)):
        with pytest.raises(BadSampleError, match=f"a: {field}"):
            call()


@pytest.mark.parametrize(
    "arguments",
    [{"ask": "some"}, {"size": 4}, {"negatives": 1.5}, {"flip": -1.0}, {"min_pixels": 0}, {"palette": "neon"},
     {"decoder": "x"}, {"transparency": 1.0}, {"decoder_args": {"x": 1}}],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ConfigError):
        SemanticSegmentation(**arguments)


def test_it_travels_to_workers():
    task = SemanticSegmentation()
    again = pickle.loads(pickle.dumps(task))
    one, two = (each.encode(sample(), 0, numpy_rng(0, "w"), train=True) for each in (task, again))
    assert torch.equal(one.target, two.target) and one.instruction == two.instruction


def test_a_class_that_is_painted_faintly_is_not_there_where_one_asks_for_more():
    triplets = SemanticSegmentation().queries(sample(), 0)
    chosen = next(t for t in triplets if float(t.answer.sum()) > 0)
    paint = (0.4 * chosen.source + 0.6 * chosen.target)[None]
    found = [
        SemanticSegmentation(min_score=score).decode(paint, chosen.source[None], [chosen.query])[0].mask.any()
        for score in (0.0, 0.85)
    ]
    assert [bool(one) for one in found] == [True, False]


# --- more classes than 8 bits number ---


def wide_sample(classes=300):
    names = ["background", *(f"thing {n}" for n in range(1, classes))]
    data = sample(classes=names)
    label = np.full(data.label.shape, WIDE_VOID, np.uint16)
    label[:, 4:50], label[:, 50:90], label[:, 90:], label[60:, 4:] = 255, 299, 12, 0
    data.label = label
    return data


def test_a_wide_set_is_painted_and_read_back():
    task, data = plain(ask="present"), wide_sample()
    triplets = task.queries(data, 0)
    assert {triplet.query["class"] for triplet in triplets} - {triplets[0].annotation["absent"]} == {12, 255, 299}
    assert all(triplet.parts is None for triplet in triplets)
    edited, source = (torch.stack([getattr(one, name) for one in triplets]) for name in ("target", "source"))
    queries = [triplet.query for triplet in triplets]
    found = task.combine(task.decode(edited, source, queries), queries)
    truth = task.truth(triplets[0].annotation)
    metrics = task.metrics()
    metrics.update(found, truth)
    assert found.labels.dtype == truth.labels.dtype == torch.uint16
    assert float(metrics.compute()["miou"]) > 0.95
    written = own_label_map(found, queries)
    assert written.dtype == np.uint16 and written[40, 70] == 299 and written[40, 20] == 255
    assert task.render(found, data.image).shape == data.image.shape
    name, guess = task.baseline([truth])
    metrics.update(guess(queries[0]), truth)
    assert name == "largest_class" and guess(queries[0]).labels.unique().tolist() == [255]


def test_void_stays_void_where_a_wide_view_is_turned():
    """255 is a class there: what lies outside of the turned image must not become it."""
    turned = plain(augment=[{"name": "Affine", "rotate": [30, 40], "p": 1.0}], negatives=0.0)
    data = wide_sample()
    data.label[data.label == 255] = 256
    for number in range(4):
        triplet = turned.encode(data, 0, numpy_rng(0, number), train=True)
        assert triplet.query["class"] in {12, 256, 299}
    view = turned._look(data, numpy_rng(0, 0), train=True, labels=data.label)
    assert set(np.unique(view.labels)) <= {0, 12, 256, 299, WIDE_VOID} and WIDE_VOID in view.labels


@pytest.mark.parametrize(("classes", "kind"), [(255, np.uint8), (256, np.uint16)])
def test_the_type_follows_the_number_of_classes(classes, kind):
    data = sample(classes=[f"c{n}" for n in range(classes)])
    void = np.iinfo(kind).max
    for label in (data.label, np.where(data.label == 255, np.uint16(WIDE_VOID), data.label)):
        data.label = label
        labels = plain().queries(data, 0)[0].annotation["labels"]
        assert labels.dtype == kind and (labels[:, :4] == void).all() and labels.max() == void


def test_too_many_classes_are_a_sentence():
    with pytest.raises(BadSampleError, match=r"5,000 classes, expected at most 4,095: merge them by --fold"):
        plain().queries(sample(classes=[f"c{n}" for n in range(5000)]), 0)


def test_own_values_may_be_wider_than_the_classes():
    data = sample()
    data.meta = {"classes": CLASSES, "values": [0, 2, 458, 9, 10]}
    task = plain(ask="all")
    triplets = task.queries(data, 0)
    queries = [triplet.query for triplet in triplets]
    edited, source = (torch.stack([getattr(one, name) for one in triplets]) for name in ("target", "source"))
    written = own_label_map(task.combine(task.decode(edited, source, queries), queries), queries)
    assert written.dtype == np.uint16 and written[5, 60] == 2 and written[-5, 60] == 458
