import numpy as np
import pytest
import torch
from small_models import TEXT, UNET

from idiff.errors import BadSampleError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.text import TextEncoder
from idiff.synthetic.source import SyntheticSource
from idiff.tasks.captioned import Captioned, describe
from idiff.tasks.instructions import suffixes
from idiff.types import VOID, Batch, Sample
from idiff.utils.images import to_tensor
from idiff.utils.seeds import numpy_rng
from idiff.utils.tokens import LIMIT, count_tokens


def sample(annotation=None, *, shape=(64, 64), **fields):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    return Sample(key="a", image=image, annotation=annotation or {}, **fields)


def told(data, count=40):
    return {Captioned().encode(data, 0, numpy_rng(0, n), train=True).instruction for n in range(count)}


def test_one_of_the_given_captions_is_drawn():
    given = ["two dogs on\ta lawn", "dogs"]
    assert told(sample({"captions": given, "caption": "never"})) == {"two dogs on a lawn", "dogs"}
    assert told(sample({"caption": "a cat"})) == {"a cat"}


def test_a_drawn_scene_is_described():
    drawn = SyntheticSource("segmentation", split="train", count=1, seed=0).sample(0)
    things = [f"{thing['colour']} {thing['kind']}" for thing in drawn.annotation["scene"]["objects"]]
    captions = told(drawn)
    assert len(captions) > 8
    assert all(sum(thing in text for thing in things) >= min(len(set(things)), 2) for text in captions)


def test_labels_that_are_seen_are_named():
    label = np.zeros((64, 64), np.uint8)
    label[:20], label[20:30], label[30:40] = 2, 3, VOID
    classes = ["background", "zebra", "traffic_light", "tree"]
    captions = told(sample(label=label, meta={"classes": classes}))
    assert captions == {"a picture of traffic light and tree", "a picture of tree and traffic light"}
    assert told(sample({"instances": [{"category": "dog"}, {"category": "dog"}]})) == {"a picture of dog"}


def test_a_picture_that_nothing_describes_is_a_bad_sample():
    for data in (
        sample(),
        sample({"captions": []}),
        sample(label=np.zeros((64, 64), np.uint8), meta={"classes": ["background", "x"]}),
    ):
        with pytest.raises(BadSampleError, match="a: captions: got no caption, no scene, no labels"):
            describe(data, numpy_rng(0))


def test_there_is_no_source_and_the_target_is_the_whole_picture():
    data = sample({"caption": "noise"}, shape=(64, 64))
    (triplet,) = Captioned().queries(data, 0)
    assert triplet.source is None
    assert torch.allclose(triplet.target, to_tensor(data.image), atol=0.01)
    (wide,) = Captioned(size=32).queries(sample({"caption": "noise"}, shape=(40, 80)), 0)
    assert wide.target.shape == (3, 32, 32)
    assert (wide.target[:, 0] == 0).all() and (wide.target[:, 16] != 0).any()


def test_pictures_are_mirrored_but_where_the_caption_knows_left_from_right():
    for text, ways in (("a red star", 2), ("a star in the upper LEFT", 1), ("two men, the rightmost sits", 1)):
        data, task = sample({"caption": text}), Captioned(flip=0.5)
        seen = {task.encode(data, 0, numpy_rng(0, n), train=True).target.numpy().tobytes() for n in range(20)}
        assert len(seen) == ways, text
        assert task.encode(data, 0, numpy_rng(0, 1), train=False).query["warp"][0][0] > 0
    with pytest.raises(ConfigError, match="flip"):
        Captioned(flip=2)


def test_what_was_painted_is_scored_against_what_was_described():
    task = Captioned()
    (triplet,) = task.queries(sample({"caption": "noise"}), 0)
    decoded = task.decode(triplet.target[None], triplet.target[None], [triplet.query])
    metrics = task.metrics()
    metrics.update(task.combine(decoded, [triplet.query]), task.truth(triplet.annotation))
    assert float(metrics.compute()["psnr"]) == 100
    assert task.baseline([]) is None


def test_marks_are_painted_and_told():
    data, plain = sample({"caption": "two dogs on a lawn."}), Captioned()
    task = Captioned(marks=1.0)
    kinds = {marks: suffixes.templates(marks) for marks in ("masks", "discs")}
    met = dict.fromkeys(kinds, 0)
    for number in range(60):
        triplet = task.encode(data, 0, numpy_rng(0, number), train=True)
        before = plain.encode(data, 0, numpy_rng(0, number), train=True).target
        changed = (triplet.target != before).any(dim=0)
        assert 0.001 < changed.float().mean() < 0.9 and triplet.target.abs().max() <= 1
        caption, suffix = triplet.instruction.split("lawn, ")
        assert caption == "two dogs on a " and count_tokens(triplet.instruction) <= LIMIT
        colors = [name for name in task.colors if f" {name} " in f" {suffix.replace(',', '')} "]
        (marks,) = [
            marks
            for marks, ways in kinds.items()
            if suffix in {way.fill([{"color": c}]) for way in ways for c in task.colors}
        ]
        met[marks] += 1
        if marks == "discs":  # one opaque color, the one that the caption names
            (color,) = colors
            values = triplet.target[:, changed].T
            assert torch.equal(values, (torch.tensor(task.colors[color]) / 127.5 - 1).expand_as(values))
        else:  # the image shows through
            assert not colors and (triplet.target[:, changed] - before[:, changed]).abs().max() <= 0.7 * 2 + 1e-5
    assert min(met.values()) > 18


def test_marks_are_drawn_from_the_place_alone_and_never_in_evaluation():
    data, task = sample({"caption": "noise"}, shape=(40, 80)), Captioned(marks=0.5)
    one, two = ([task.encode(data, 0, numpy_rng(0, n), train=True) for n in range(40)] for _ in range(2))
    assert all(
        torch.equal(a.target, b.target) and a.instruction == b.instruction for a, b in zip(one, two, strict=True)
    )
    assert 8 < sum(triplet.instruction != "noise" for triplet in one) < 32
    assert all((triplet.target[:, 0] == 0).all() for triplet in one)  # the margin of a wide image stays unpainted
    (triplet,) = task.queries(data, 0)
    (plain,) = Captioned().queries(data, 0)
    assert torch.equal(triplet.target, plain.target) and triplet.instruction == plain.instruction


def test_a_caption_that_leaves_no_room_is_left_alone():
    long = "a dog and " * 24 + "a cat"
    data = sample({"caption": long})
    for number in range(20):
        triplet = Captioned(marks=1.0).encode(data, 0, numpy_rng(0, number), train=True)
        assert triplet.instruction == long
        assert torch.equal(triplet.target, Captioned().encode(data, 0, numpy_rng(0, number), train=True).target)


def test_suffixes_say_nothing_about_sides_and_name_one_colour_of_discs():
    for marks in ("masks", "discs"):
        for way in suffixes.templates(marks):
            words = way.fill([{"color": "magenta"}])
            assert not {"left", "right"} & set(words.split())
            assert ("magenta" in words) == (marks == "discs")
    assert suffixes.with_suffix("A cat.", "masks", numpy_rng(0), color="red").startswith("A cat, ")
    for options in ({"marks": 2}, {"palette": "odd"}, {"transparency": 1.0}, {"radius_share": -1}):
        with pytest.raises(ConfigError):
            Captioned(**options)


def test_a_batch_trains_a_model_without_a_source(autoencoder_folder):
    source, task = SyntheticSource("segmentation", split="train", count=4, seed=0), Captioned()
    rows = [task.encode(source.sample(n), 0, numpy_rng(0, n), train=True) for n in range(4)]
    batch = Batch(
        keys=[row.key for row in rows], instruction=[row.instruction for row in rows], source=None,
        target=torch.stack([row.target for row in rows]), query=[row.query for row in rows],
        annotation=[row.annotation for row in rows], position=torch.arange(4), task=["captioned"] * 4,
    )  # fmt: skip
    torch.manual_seed(0)
    model = LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET, with_source=False
    ).train()
    loss = model.loss(batch, seed=0)
    loss.backward()
    assert loss.isfinite()
    for part in (model.unet.conv_in, model.unet.conv_out, model.text.net):
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in part.parameters())
