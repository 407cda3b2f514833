import copy
import json
import pickle

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.tasks import ReferringSegmentation
from idiff.types import Prediction, Sample, Truth
from idiff.utils.masks import encode_mask
from idiff.utils.painting import palette, rgb_values
from idiff.utils.seeds import numpy_rng

HEIGHT, WIDTH = 80, 120


def box(top, left, bottom, right):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


MASKS = [box(10, 10, 40, 50), box(20, 30, 60, 70), box(60, 100, 78, 118)]
PHRASES = [("the left box", [0]), ("both boxes on the left", [0, 1]), ("the purple box", []), ("the corner", [2])]


def sample():
    image = np.random.default_rng(0).integers(90, 160, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    instances = [{"category": "box", "mask": encode_mask(mask)} for mask in MASKS]
    phrases = [{"text": text, "instances": named} for text, named in PHRASES]
    return Sample(key="a", image=image, annotation={"instances": instances, "phrases": phrases})


def draws(task, item, count=40, *, train=True):
    return [task.encode(sample(), item, numpy_rng(0, n), train=train) for n in range(count)]


def answered(task, item, *, paint="target"):
    triplets = task.queries(sample(), item)
    queries = [triplet.query for triplet in triplets]
    edited, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in (paint, "source"))
    return task.combine(task.decode(edited, sources, queries), queries), task.truth(triplets[0].annotation)


@pytest.mark.parametrize("item", range(4))
def test_truth_is_the_union_without_holes(item):
    """Objects that overlap are one region: the pixels in both belong to it."""
    task = ReferringSegmentation()
    union = np.zeros((HEIGHT, WIDTH), bool)
    for index in PHRASES[item][1]:
        union |= MASKS[index]
    truth = task.truth(task.queries(sample(), item)[0].annotation)
    assert np.array_equal(truth.mask.numpy(), union)
    assert truth.key == "a"


def test_nothing_named_leaves_the_picture_as_it_is():
    for triplet in [*draws(ReferringSegmentation(), 2), *ReferringSegmentation().queries(sample(), 2)]:
        assert torch.equal(triplet.target, triplet.source)
        assert not triplet.answer.any() and not triplet.annotation["mask"].any()


def test_the_target_is_the_written_blend():
    task = ReferringSegmentation(transparency=0.5)
    for triplet in draws(task, 1, 10):
        inside = triplet.answer[0] > 0
        color = rgb_values([triplet.query["rgb"]]).view(3, 1)
        assert inside.any()
        assert torch.allclose(triplet.target[:, inside], 0.5 * triplet.source[:, inside] + 0.5 * color, atol=1e-6)
        assert torch.equal(triplet.target[:, ~inside], triplet.source[:, ~inside])
        assert triplet.query["color"] in triplet.instruction and "both boxes on the left" in triplet.instruction
        assert tuple(triplet.query["rgb"]) == palette("saturated")[triplet.query["color"]]


def test_training_sees_the_whole_picture_as_it_is():
    """Left stays left, nothing is cropped away, no color changes: whatever the words say remains true."""
    task = ReferringSegmentation()
    (shown,) = task.queries(sample(), 0)
    for triplet in draws(task, 0):
        assert torch.equal(triplet.source, shown.source)
        assert torch.equal(triplet.answer, shown.answer)
        assert triplet.query["warp"] == shown.query["warp"]
    assert shown.query["warp"][0][0] > 0


def wide(text, *, left=150, named=(0,), height=60, width=200):
    """An image three times as wide as high; what is named is a box of 40 pixels near its right end."""
    mask = np.zeros((height, width), bool)
    mask[20:50, left : left + 40] = True
    image = np.random.default_rng(1).integers(90, 160, (height, width, 3)).astype(np.uint8)
    facts = {
        "instances": [{"category": "box", "mask": encode_mask(mask)}],
        "phrases": [{"text": text, "instances": [*named]}],
    }
    return Sample(key="a", image=image, annotation=facts)


def corners_in_model(triplet):
    """The named object's corners, pixel edges, in the model's pixels."""
    rows, columns = np.nonzero(triplet.annotation["mask"])
    ends = np.array([[columns.min() - 0.5, rows.min() - 0.5, 1], [columns.max() + 0.5, rows.max() + 0.5, 1]])
    return ends @ np.array(triplet.query["warp"]).T


def test_crops_keep_what_is_named_whole_and_are_never_mirrored():
    """A square crop at any place would cut the object away in most draws and leave words without an object."""
    task, data = ReferringSegmentation(), wide("the purple box")
    triplets = [task.encode(data, 0, numpy_rng(0, n), train=True) for n in range(150)]
    for triplet in triplets:
        corners = corners_in_model(triplet)
        assert corners.min() >= -0.5 - 1e-6 and corners.max() <= 63.5 + 1e-6
        warp = np.array(triplet.query["warp"])
        assert warp[0, 0] == warp[1, 1] > 0  # neither mirrored nor turned
        area = 40 * 30 * warp[0, 0] ** 2
        assert triplet.answer.sum() == pytest.approx(area, rel=0.25)
    scales = np.array([triplet.query["warp"][0][0] for triplet in triplets])
    assert scales.min() < 64 / 200 * 1.1 and scales.max() > 64 / 60 * 0.9
    assert len({tuple(np.round(triplet.query["warp"][0], 6)) for triplet in triplets}) == 150


@pytest.mark.parametrize(
    "text", ["the right box", "second box from the left", "the box behind", "closest box", "corner"]
)
def test_words_for_places_and_order_see_the_whole_picture(text):
    """In a crop, what lies on the right may lie on the left: the words would be false."""
    task, data = ReferringSegmentation(), wide(text)
    whole = task.queries(data, 0)[0].query["warp"]
    for number in range(40):
        assert task.encode(data, 0, numpy_rng(0, number), train=True).query["warp"] == whole


def test_nothing_named_square_pictures_and_evaluation_see_the_whole_picture():
    task = ReferringSegmentation()
    square = wide("the purple box", left=10, height=60, width=60)
    for data, train in ((wide("purple box", named=()), True), (square, True), (wide("the purple box"), False)):
        whole = task.queries(data, 0)[0].query["warp"]
        for number in range(20):
            assert task.encode(data, 0, numpy_rng(0, number), train=train).query["warp"] == whole
    plain = ReferringSegmentation(crop=False)
    for number in range(20):
        one, two = (each.encode(square, 0, numpy_rng(0, number), train=True) for each in (task, plain))
        assert one.instruction == two.instruction and torch.equal(one.target, two.target)
        cut = plain.encode(wide("the purple box"), 0, numpy_rng(0, number), train=True)
        assert cut.query["warp"] == task.queries(wide("the purple box"), 0)[0].query["warp"]


def test_all_colors_and_sentences_are_drawn():
    triplets = draws(ReferringSegmentation(), 0, 300)
    assert {triplet.query["color"] for triplet in triplets} == set(palette("saturated"))
    assert len({triplet.instruction for triplet in triplets}) > 50


def test_a_configured_augmentation_is_used_in_training_alone():
    task = ReferringSegmentation(augment=[{"name": "InvertImg", "p": 1.0}])
    trained, shown = (draws(task, 0, 1, train=train)[0] for train in (True, False))
    assert not torch.equal(trained.source, shown.source)
    assert torch.equal(trained.answer, shown.answer)
    assert torch.equal(shown.source, task.queries(sample(), 0)[0].source)


@pytest.mark.parametrize("item", range(4))
def test_one_query_a_phrase(item):
    (triplet,) = ReferringSegmentation().queries(sample(), item)
    query = triplet.query
    assert (triplet.key, query["group"], query["phrase"]) == (f"a/{item}", f"a/{item}", PHRASES[item][0])
    assert query["size"] == [HEIGHT, WIDTH]
    assert "instances" not in json.dumps(query)


@pytest.mark.parametrize("item", [0, 1, 3])
def test_answers_lie_in_the_pixels_of_the_original(item):
    prediction, truth = answered(ReferringSegmentation(), item)
    assert prediction.mask.shape == truth.mask.shape == (HEIGHT, WIDTH)
    assert (prediction.mask & truth.mask).sum() / (prediction.mask | truth.mask).sum() > 0.8
    assert 0.5 < prediction.score <= 1
    assert torch.equal(prediction.mask, prediction.scores > 0.5)


@pytest.mark.parametrize(("item", "paint"), [(2, "target"), (0, "source")])
def test_nothing_painted_is_an_empty_answer(item, paint):
    prediction, truth = answered(ReferringSegmentation(), item, paint=paint)
    assert not prediction.mask.any() and prediction.score == 0
    metrics = ReferringSegmentation().metrics()
    metrics.update(prediction, truth)
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert (values["n_acc"] == values["giou"] == 1) if item == 2 else (values["ciou"] == values["giou"] == 0)


@pytest.mark.parametrize(("side", "kept"), [(2, False), (3, True), (5, True)])
def test_specks_are_no_target(side, kept):
    task = ReferringSegmentation(min_pixels=8, decoder_args={"smooth": 1})
    (triplet,) = task.queries(sample(), 2)
    painted = triplet.source.clone()
    painted[:, 20 : 20 + side, 30 : 30 + side] = rgb_values([triplet.query["rgb"]]).view(3, 1, 1)
    (prediction,) = task.decode(painted[None], triplet.source[None], [triplet.query])
    assert int(prediction.mask.sum()) == (side * side if kept else 0)
    assert bool((prediction.scores > 0.5).any()) == bool(task.combine([prediction], [triplet.query]).mask.any()) == kept


def test_metrics_count_every_query():
    task = ReferringSegmentation()
    metrics = task.metrics()
    for item in range(4):
        metrics.update(*answered(task, item))
    values = {name: float(value) for name, value in metrics.compute().items()}
    assert np.isnan(values.pop("ciou_held_out"))  # no phrase here is held out
    assert set(values) == {"ciou", "giou", "n_acc", "ece"} and values.pop("ece") < 0.1 and min(values.values()) > 0.9


def test_guess_is_the_whole_picture():
    task = ReferringSegmentation()
    (triplet,) = task.queries(sample(), 0)
    name, answer = task.baseline([task.truth(triplet.annotation)])
    assert name == "everything"
    assert answer(triplet.query).mask.shape == (HEIGHT, WIDTH) and answer(triplet.query).mask.all()
    assert task.baseline([Truth(key="no mask")]) is None


def test_render_tints_the_mask():
    task = ReferringSegmentation()
    prediction, _ = answered(task, 0)
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn = task.render(prediction, picture)
    assert np.array_equal((drawn > 0).any(axis=2), prediction.mask.numpy())
    with pytest.raises(ConfigError, match=r"referring got a Prediction for .*, expected a MaskPrediction"):
        task.render(Prediction(query=prediction.query), picture)


def change(**fields):
    data = copy.deepcopy(sample())
    data.annotation["phrases"][1] |= {name: value for name, value in fields.items() if name in {"text", "instances"}}
    if "mask" in fields:
        data.annotation["instances"][1]["mask"] = fields["mask"]
    return data


@pytest.mark.parametrize(
    ("data", "field", "item"),
    [
        (sample(), "annotation.phrases: got 4 phrases, expected number 4", 4),
        (Sample("a", sample().image, {}), "annotation.phrases: got no phrases", 0),
        (change(text=" \t"), r"annotation.phrases\[1\].text", 1),
        (change(instances=None), r"annotation.phrases\[1\].instances: got None", 1),
        (change(instances=[0, 3]), r"annotation.phrases\[1\].instances: got \[0, 3\]", 1),
        (change(instances=[-1]), r"annotation.phrases\[1\].instances", 1),
        (change(instances=[True]), r"annotation.phrases\[1\].instances", 1),
        (change(mask=None), r"annotation.instances\[1\].mask: the size is None", 1),
        (change(mask=encode_mask(np.zeros((9, 9), bool))), r"annotation.instances\[1\].mask: the size is \[9, 9\]", 1),
        (change(mask={"size": [HEIGHT, WIDTH], "counts": "00"}), r"annotation.instances\[1\].mask: the runs", 1),
        (Sample("a", sample().image[..., 0], sample().annotation), "image", 0),
    ],
)
def test_bad_samples_are_named(data, field, item):
    task = ReferringSegmentation()
    for call in (lambda: task.encode(data, item, numpy_rng(0), train=True), lambda: task.queries(data, item)):
        with pytest.raises(BadSampleError, match=f"a: {field}"):
            call()


@pytest.mark.parametrize(
    "arguments",
    [{"size": 4}, {"min_pixels": 0}, {"palette": "neon"}, {"decoder": "x"}, {"transparency": 1.0},
     {"decoder_args": {"x": 1}}, {"augment": [{"name": "Nothing"}]}],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ConfigError):
        ReferringSegmentation(**arguments)


def test_it_travels_to_workers():
    task = ReferringSegmentation()
    again = pickle.loads(pickle.dumps(task))
    one, two = (each.encode(sample(), 1, numpy_rng(0, "w"), train=True) for each in (task, again))
    assert torch.equal(one.target, two.target) and one.instruction == two.instruction


def test_a_set_that_names_all_its_objects_tells_what_is_where():
    """Instances in front hide those behind; what no instance covers is background; without the list nobody knows."""
    whole = sample()
    whole.meta = {"categories": ["other", "box"]}
    parts = ReferringSegmentation(size=120).encode(whole, 0, numpy_rng(0), train=False).parts
    assert parts.names == ["background", "other", "box"]
    inside = parts.labels[20:100]  # 120 x 80 in a square: 20 rows of padding above and below
    assert np.array_equal(inside.numpy() == 2, np.any(MASKS, axis=0))
    assert set(inside.unique().tolist()) == {0, 2} and (parts.labels[:20] == 255).all()
    assert ReferringSegmentation().encode(sample(), 0, numpy_rng(0), train=False).parts is None


def test_half_a_colour_is_no_answer_where_one_asks_for_more():
    """A region painted at 60 % scores a little above one half: taken by default, empty with `min_score`."""
    triplet = ReferringSegmentation().queries(sample(), 0)[0]
    faint, source = (0.4 * triplet.source + 0.6 * triplet.target)[None], triplet.source[None]
    for paint, wanted in ((faint, [True, False]), (triplet.target[None], [True, True])):
        tasks = [ReferringSegmentation(min_score=score) for score in (0.0, 0.85)]
        assert [bool(task.decode(paint, source, [triplet.query])[0].mask.any()) for task in tasks] == wanted
    with pytest.raises(ConfigError):
        ReferringSegmentation(min_score=1.5)


def test_an_argument_of_another_decoder_can_be_taken_back():
    task = ReferringSegmentation(decoder="unet", decoder_args={"smooth": None, "weights": "tiny", "color_share": 0.5})
    assert task.decoder.describe()["color_share"] == 0.5
