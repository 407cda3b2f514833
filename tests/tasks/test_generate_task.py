"""The way back from a map: what the source shows, what is told, and what is asked again of a painted photograph."""

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.evaluation.clip_metrics import clip_metrics
from idiff.synthetic.source import SyntheticSource
from idiff.tasks import SemanticSegmentation
from idiff.tasks.depth import DepthEstimation
from idiff.tasks.edges import EdgeDetection
from idiff.tasks.generate import GRAY, PictureFromMap
from idiff.types import Sample
from idiff.utils.images import to_picture
from idiff.utils.painting import class_color
from idiff.utils.seeds import numpy_rng
from idiff.utils.tokens import fits

READERS = {"labels": SemanticSegmentation, "edges": EdgeDetection, "depth": DepthEstimation}


def scenes(count=2, size=64):
    source = SyntheticSource("generate", split="val", count=count, size=size, family="solids")
    return [source.sample(index) for index in range(count)]


@pytest.mark.parametrize("source", ["edges", "depth"])
def test_maps_are_painted_as_their_own_tasks_paint_them(source):
    sample = scenes(1)[0]
    (back,), (there,) = PictureFromMap(source).queries(sample, 0), READERS[source]().queries(sample, 0)
    known = there.answer[0] > 0
    assert torch.equal(back.source[:, known], there.target[:, known]) and (back.source[:, ~known] == 0).all()
    assert torch.equal(back.target, there.source)


def test_a_label_map_is_painted_in_the_colors_of_its_classes():
    label = np.array([[0, 1], [2, 255]], np.uint8).repeat(8, 0).repeat(8, 1)
    image = np.full((16, 16, 3), 90, np.uint8)
    sample = Sample("a", image, {"caption": "x"}, meta={"classes": ["background", "cat", "dog"]}, label=label)
    (triplet,) = PictureFromMap(size=16).queries(sample, 0)
    shown = to_picture(triplet.source)
    assert [tuple(shown[y, x].tolist()) for y, x in ((0, 0), (0, 9), (9, 0), (9, 9))] == [
        (0, 0, 0), class_color(1), class_color(2), GRAY,
    ]  # fmt: skip
    assert np.array_equal(to_picture(triplet.target), image)


def test_scenes_describe_themselves_and_captions_are_cut_to_what_the_text_encoder_sees():
    task, sample = PictureFromMap(), scenes(1)[0]
    (triplet,) = task.queries(sample, 0)
    things = sample.annotation["scene"]["objects"]
    assert any(f"{one['colour']} {one['kind']}" in triplet.instruction for one in things)
    assert "map" in triplet.instruction and task.truth(triplet.annotation).caption in triplet.instruction
    plain = Sample("a", sample.image, {}, meta={"classes": ["background", "x"]}, label=np.zeros((64, 64), np.uint8))
    assert "the scene" in task.queries(plain, 0)[0].instruction
    plain.annotation = {"captions": ["one. ", "two"]}
    told = {task.encode(plain, 0, numpy_rng(0, n), train=True).annotation["caption"] for n in range(20)}
    assert told == {"one", "two"}
    plain.annotation = {"caption": " ".join(f"word{number}" for number in range(90))}
    (long,) = task.queries(plain, 0)
    assert fits(long.instruction) and "word3" in long.instruction and "word80" not in long.instruction


def test_a_person_gives_a_painted_map_and_a_caption():
    task, picture = PictureFromMap("depth"), np.random.default_rng(0).integers(0, 256, (40, 64, 3)).astype(np.uint8)
    (triplet,) = task.queries(task.asked(picture, "two red cones"), 0)
    assert torch.equal(triplet.source, triplet.target) and "two red cones" in triplet.instruction
    (found,) = task.decode(triplet.target[None], triplet.source[None], [triplet.query])
    assert np.array_equal(task.render(task.combine([found], [triplet.query]), picture), picture)
    assert task.asked_again(picture, triplet.annotation) is None
    with pytest.raises(ConfigError, match="expected words"):
        task.asked(picture, " ")


@pytest.mark.parametrize("source", READERS)
def test_the_map_is_asked_for_again_with_the_given_one_as_truth(source):
    task, reader, sample = PictureFromMap(source), READERS[source](), scenes(1)[0]
    (triplet,) = task.queries(sample, 0)
    painted = np.random.default_rng(1).integers(0, 256, sample.image.shape).astype(np.uint8)
    again = task.asked_again(painted, triplet.annotation)
    assert task.again == reader.kind and np.array_equal(again.image, painted)
    one, other = (reader.truth(reader.queries(each, 0)[0].annotation) for each in (again, sample))
    for name, value in vars(other).items():
        same = torch.equal(vars(one)[name], value) if isinstance(value, torch.Tensor) else vars(one)[name] == value
        assert same, name


def test_what_it_is_scored_by():
    task = PictureFromMap()
    assert clip_metrics(task, clip=None, aesthetic=None)[1].keys() == {"clip_sim", "aesthetic"}
    truths = [task.truth(task.queries(sample, 0)[0].annotation) for sample in scenes()]
    name, answer = task.baseline(truths)
    mean = torch.stack([truth.picture.mean(dim=(1, 2)) for truth in truths]).mean(dim=0)
    assert name == "mean_color" and torch.allclose(answer({"size": [3, 4]}).picture[:, 2, 1], mean)


def test_samples_that_cannot_be_used():
    image = np.zeros((8, 8, 3), np.uint8)
    for source, message in (("labels", "meta.classes"), ("edges", "edges: got none"), ("depth", "depth: got none")):
        with pytest.raises(BadSampleError, match=message):
            PictureFromMap(source).queries(Sample("a", image, {}), 0)
    with pytest.raises(ConfigError, match="did you mean 'edges'"):
        PictureFromMap("edgse")
