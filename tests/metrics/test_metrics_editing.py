import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from idiff.errors import ConfigError
from idiff.metrics.editing import MSERatio, PSNRInside, PSNROutside, region_error, region_psnr
from idiff.metrics.restoration import PSNR_LIMIT, psnr
from idiff.predictions import EditTruth, ImagePrediction, ImageTruth


def case(seed, height=13, width=17):
    """An edit, its truth, its source and a region: images partly beyond [-1, 1]."""
    rng = np.random.default_rng(seed)
    true, source = (torch.from_numpy(rng.uniform(-1, 1, (3, height, width)).astype(np.float32)) for _ in range(2))
    edit = true + torch.from_numpy(rng.normal(0, 0.3, true.shape).astype(np.float32))
    region = torch.from_numpy(rng.random((height, width)) < rng.uniform(0.1, 0.9))
    return edit, true, source, region


def unit(picture, region):
    """The numbers of a region in [0, 1]."""
    return ((picture.clamp(-1, 1).double().numpy() + 1) / 2)[:, region.numpy()]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_psnr_of_a_region_is_that_of_its_pixels_alone(seed):
    edit, true, _, region = case(seed)
    for part in (region, ~region):
        if part.any():
            expected = peak_signal_noise_ratio(unit(true, part), unit(edit, part), data_range=1)
            assert float(region_psnr(edit, true, part)) == pytest.approx(expected, abs=1e-3)


def test_the_whole_picture_as_region_is_plain_psnr():
    edit, true, _, region = case(0)
    assert float(region_psnr(edit, true, torch.ones_like(region))) == pytest.approx(float(psnr(edit, true)), abs=1e-3)
    assert float(region_psnr(true, true, region)) == PSNR_LIMIT
    assert region_psnr(edit, true, torch.zeros_like(region)).isnan()


def updated(metric, cases):
    for edit, true, source, region in cases:
        metric.update(
            ImagePrediction(query={}, picture=edit), EditTruth(key="k", picture=true, source=source, mask=region)
        )
    return metric


def test_inside_and_outside_are_means_over_pictures():
    cases = [case(seed, height=11 + seed) for seed in range(4)]
    for metric, flip in ((PSNRInside(), False), (PSNROutside(), True)):
        expected = np.mean([float(region_psnr(edit, true, ~part if flip else part)) for edit, true, _, part in cases])
        assert float(updated(metric, cases).compute()) == pytest.approx(expected, abs=1e-3)


def test_mse_ratio_is_a_ratio_of_sums_over_the_set():
    cases = [case(seed, height=11 + 3 * seed) for seed in range(4)]
    edit_error = sum(((unit(edit, part) - unit(true, part)) ** 2).sum() for edit, true, _, part in cases)
    source_error = sum(((unit(source, part) - unit(true, part)) ** 2).sum() for _, true, source, part in cases)
    metric = updated(MSERatio(), cases)
    assert float(metric.compute()) == pytest.approx(edit_error / source_error, rel=1e-5)
    assert metric.higher_is_better is False


@pytest.mark.parametrize(("answer", "expected"), [("target", 0.0), ("source", 1.0)])
def test_mse_ratio_of_the_two_ends(answer, expected):
    _, true, source, region = case(1)
    edit = true if answer == "target" else source
    assert float(updated(MSERatio(), [(edit, true, source, region)]).compute()) == pytest.approx(expected)


def test_pictures_without_an_inside_or_an_outside_are_left_out():
    edit, true, source, region = case(2)
    none, full = torch.zeros_like(region), torch.ones_like(region)
    for metric, part in ((PSNRInside(), none), (PSNROutside(), full), (MSERatio(), none)):
        assert updated(metric, [(edit, true, source, part)]).compute().isnan()
        more = updated(type(metric)(), [(edit, true, source, part), (edit, true, source, region)])
        assert float(more.compute()) == float(updated(type(metric)(), [(edit, true, source, region)]).compute())


@pytest.mark.parametrize("metric", [PSNRInside, PSNROutside, MSERatio])
def test_states_merge_as_sums(metric):
    cases = [case(seed) for seed in range(6)]
    whole, one, two = updated(metric(), cases), updated(metric(), cases[:2]), updated(metric(), cases[2:])
    one.merge_state(two)
    assert float(one.compute()) == pytest.approx(float(whole.compute()), rel=1e-6)
    whole.reset()
    assert whole.compute().isnan()


def test_refusals():
    edit, true, _, region = case(3)
    with pytest.raises(ConfigError, match="pictures"):
        region_error(edit[:, 1:], true, region)
    for wrong in (region[1:], region.float()):
        with pytest.raises(ConfigError, match="region of shape"):
            region_error(edit, true, wrong)
    for metric in (MSERatio(), PSNRInside(), PSNROutside()):
        with pytest.raises(
            ConfigError, match=rf"{type(metric).__name__} got a.? ImageTruth for 'k', expected a.? EditTruth"
        ):
            metric.update(ImagePrediction(query={}, picture=edit), ImageTruth(key="k", picture=true))
