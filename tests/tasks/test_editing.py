import copy

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError
from idiff.tasks import InstructEditing
from idiff.types import Sample
from idiff.utils.images import to_tensor
from idiff.utils.masks import encode_mask
from idiff.utils.seeds import numpy_rng


def sample(height=48, width=64, **annotation):
    """A box turns from dark to light; a shade of it, too faint to count, lies around."""
    image = np.full((height, width, 3), 90, np.uint8)
    target = image.copy()
    target[8:24, 10:30] = 95
    image[10:20, 12:28], target[10:20, 12:28] = 40, 200
    told = {"instruction": "Make the box on the left lighter.", **annotation}
    return Sample(key="a", image=image, annotation=told, target=target)


def box(shape=(48, 64)):
    mask = np.zeros(shape, bool)
    mask[10:20, 12:28] = True
    return mask


def scores(task, data, picture):
    triplet = task.queries(data, 0)[0]
    query, shown = triplet.query, picture(triplet)[None]
    metrics = task.metrics()
    metrics.update(task.combine(task.decode(shown, shown, [query]), [query]), task.truth(triplet.annotation))
    return {name: float(value) for name, value in metrics.compute().items()}


def test_the_given_sentence_is_asked_as_it_is():
    task = InstructEditing()
    data = sample(instruction="  Make the\tleft box\x00 lighter. ")
    asked = {
        task.encode(data, 0, numpy_rng(0, n), train=train).instruction for n in range(5) for train in (True, False)
    }
    assert asked == {"Make the left box lighter."} == {triplet.instruction for triplet in task.queries(data, 0)}


def test_pictures_are_never_mirrored_squashed_or_recoloured():
    task, data = InstructEditing(), sample()
    for number in range(10):
        triplet = task.encode(data, 0, numpy_rng(0, number), train=True)
        assert torch.equal(triplet.source[:, 8:56], to_tensor(data.image))
        assert torch.equal(triplet.target[:, 8:56], to_tensor(data.target))
        assert not triplet.source[:, :8].any() and not triplet.target[:, 56:].any()


@pytest.mark.parametrize("shape", [(48, 64), (96, 128), (200, 70)])
def test_answers_have_the_size_of_the_original(shape):
    task = InstructEditing()
    data = sample(*shape)
    triplet = task.queries(data, 0)[0]
    shown = triplet.target[None]
    made = task.combine(task.decode(shown, shown, [triplet.query]), [triplet.query])
    truth = task.truth(triplet.annotation)
    assert made.picture.shape == truth.picture.shape == truth.source.shape == (3, *shape)
    assert truth.mask.shape == shape and truth.mask.dtype == torch.bool
    assert task.render(made, data.image).shape == data.image.shape
    if max(shape) == 64:
        assert torch.allclose(made.picture, truth.picture, atol=1e-4)


@pytest.mark.parametrize(("threshold", "pixels"), [(20, 160), (4, 320), (200, 0)])
def test_the_region_is_what_differs_by_more_than_the_threshold(threshold, pixels):
    task = InstructEditing(threshold=threshold)
    assert int(task.truth(task.queries(sample(), 0)[0].annotation).mask.sum()) == pixels


def test_a_given_region_counts():
    mask = np.zeros((48, 64), bool)
    mask[:, 40:] = True
    task = InstructEditing()
    truth = task.truth(task.queries(sample(region=encode_mask(mask)), 0)[0].annotation)
    assert np.array_equal(truth.mask.numpy(), mask)


def test_scores_of_a_perfect_edit_of_none_and_of_a_bad_one():
    task, data = InstructEditing(), sample(region=encode_mask(box()))
    perfect = scores(task, data, lambda triplet: triplet.target)
    assert perfect["psnr_inside"] > 80 and perfect["psnr_outside"] > 80
    assert perfect["mse_ratio"] == pytest.approx(0, abs=1e-6)
    none = scores(task, data, lambda triplet: triplet.source)
    assert none["psnr_inside"] == pytest.approx(20 * np.log10(255 / 160), abs=1e-3)
    assert none["psnr_outside"] == pytest.approx(10 * np.log10(255**2 / (25 * 160 / (48 * 64 - 160))), abs=1e-2)
    assert none["mse_ratio"] == pytest.approx(1, abs=1e-4)
    assert scores(task, data, lambda triplet: -triplet.target)["psnr_outside"] < 15


def test_a_pair_without_a_difference_is_not_scored_inside():
    data = sample()
    data.target = data.image.copy()
    found = scores(InstructEditing(), data, lambda triplet: triplet.source)
    assert np.isnan(found["psnr_inside"]) and np.isnan(found["mse_ratio"]) and found["psnr_outside"] > 80


def test_the_metrics_of_a_collection_stay_apart():
    """torchmetrics shares states of metrics that look alike after their first update."""
    task = InstructEditing()
    metrics = task.metrics()
    for data in (sample(), sample(64, 40)):
        triplet = task.queries(data, 0)[0]
        shown = triplet.source[None]
        made = task.combine(task.decode(shown, shown, [triplet.query]), [triplet.query])
        metrics.update(made, task.truth(triplet.annotation))
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found["psnr_inside"] < 5 and found["psnr_outside"] > 30
    assert found["mse_ratio"] == pytest.approx(1, abs=1e-4)


def wrong(**annotation):
    return sample(**annotation)


def without_target():
    data = copy.deepcopy(sample())
    data.target = None
    return data


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (wrong(instruction=None), "annotation.instruction: got None"),
        (wrong(instruction=" \n"), "annotation.instruction"),
        (wrong(region=encode_mask(box((48, 63)))), r"annotation.region: got \(48, 63\), expected \(48, 64\)"),
        (wrong(region={"size": [48, 64], "counts": "0"}), "annotation.region"),
        (wrong(region=[1, 2]), "annotation.region"),
        (without_target(), "target: got none"),
    ],
)
def test_bad_samples_are_named(data, field):
    for call in (
        lambda: InstructEditing().encode(data, 0, numpy_rng(0), train=True),
        lambda: InstructEditing().queries(data, 0),
    ):
        with pytest.raises(BadSampleError, match=f"a: {field}"):
            call()


@pytest.mark.parametrize("arguments", [{"size": 4}, {"threshold": -1}, {"threshold": 255}, {"keep": -1}, {"keep": 255}])
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(ConfigError):
        InstructEditing(**arguments)


def test_what_the_model_hardly_changed_is_kept_as_it_was():
    """An edit that paints a square and trembles elsewhere: with `keep` the rest is the source, the square stays painted."""
    sample = InstructEditing.example(numpy_rng(0))
    query = InstructEditing().queries(sample, 0)[0].query
    rendered = torch.zeros(1, 3, 64, 64)
    edited = 0.02 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    edited[:, :, 20:40, 20:40] += 0.8
    loose, kept = (InstructEditing(keep=keep).decode(edited, rendered, [query])[0].picture for keep in (0, 10))
    assert torch.equal(loose, edited[0])
    assert torch.equal(kept[:, 20:40, 20:40], edited[0, :, 20:40, 20:40])
    assert float(kept[:, :18].abs().max()) == 0
