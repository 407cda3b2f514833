import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.diffusion import Branch, NoiseSchedule, branches, combine, to_clean_and_noise
from idiff.errors import ConfigError

PAIRS = [(5.0, 1.25), (7.5, 1.5), (6.0, 0.5), (1.0, 1.0), (0.5, 0.5), (0.5, 3.0), (0.0, 0.0), (2.0, 2.0)]


def predictions():
    rng = torch.Generator().manual_seed(0)
    return {key: torch.randn(3, 4, 2, 2, generator=rng, dtype=torch.float64) for key in ["it", "i", "t", "none"]}


def written(rule, e, text, image):
    """The formulas as the papers print them."""
    if rule == "instructdiffusion":
        return 0.5 * (e["i"] + e["t"]) + text * (e["it"] - e["i"]) + image * (e["it"] - e["t"])
    return e["none"] + text * (e["it"] - e["i"]) + image * (e["i"] - e["none"])


def guided(rule, e, text, image):
    parts = branches(rule, text=text, image=image)
    names = {(True, True): "it", (True, False): "i", (False, True): "t", (False, False): "none"}
    stacked = torch.cat([e[names[part.use_image, part.use_text]] for part in parts])
    return combine(stacked, [part.weight for part in parts])


@pytest.mark.parametrize("rule", ["instructdiffusion", "instructpix2pix"])
@pytest.mark.parametrize(("text", "image"), PAIRS)
def test_branches_equal_the_written_formula(rule, text, image):
    e = predictions()
    torch.testing.assert_close(guided(rule, e, text, image), written(rule, e, text, image), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("rule", "text", "image", "count"),
    [
        ("instructdiffusion", 0.5, 0.5, 1),
        ("instructdiffusion", 6.0, 0.5, 2),
        ("instructdiffusion", 0.5, 1.5, 2),
        ("instructdiffusion", 5.0, 1.25, 3),
        ("instructpix2pix", 1.0, 1.0, 1),
        ("instructpix2pix", 7.5, 1.0, 2),
        ("instructpix2pix", 1.5, 1.5, 2),
        ("instructpix2pix", 7.5, 1.5, 3),
    ],
)
def test_number_of_evaluations(rule, text, image, count):
    assert len(branches(rule, text=text, image=image)) == count


def test_the_skipped_branch_is_the_right_one():
    assert branches("instructdiffusion", text=6.0, image=0.5) == [Branch(True, True, 6.5), Branch(True, False, -5.5)]
    assert branches("instructdiffusion", text=0.5, image=2.0) == [Branch(True, True, 2.5), Branch(False, True, -1.5)]


@pytest.mark.parametrize(("rule", "off"), [("instructdiffusion", 0.5), ("instructpix2pix", 1.0)])
def test_guidance_off_is_the_conditioned_prediction_bit_for_bit(rule, off):
    e = predictions()
    assert branches(rule, text=off, image=off) == [Branch(True, True, 1.0)]
    assert torch.equal(guided(rule, e, off, off), e["it"])


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(["instructdiffusion", "instructpix2pix"]), st.floats(-20, 20), st.floats(-20, 20))
def test_weights_sum_to_one(rule, text, image):
    assert sum(part.weight for part in branches(rule, text=text, image=image)) == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(st.floats(-10, 10), st.floats(-10, 10))
def test_equal_predictions_are_left_as_they_are(text, image):
    same = torch.linspace(-1, 1, 8, dtype=torch.float64).view(2, 4)
    parts = branches("instructdiffusion", text=text, image=image)
    got = combine(same.repeat(len(parts), 1), [part.weight for part in parts])
    torch.testing.assert_close(got, same)


def test_guiding_v_equals_guiding_the_clean_latent():
    e, schedule, noisy = predictions(), NoiseSchedule(zero_terminal_snr=True), torch.ones(3, 4, 2, 2).double()
    read = lambda v: to_clean_and_noise(v, noisy, t=999, schedule=schedule, prediction_type="v_prediction")[0]  # noqa: E731
    clean = {key: read(v) for key, v in e.items()}
    torch.testing.assert_close(
        read(guided("instructdiffusion", e, 5.0, 1.25)), guided("instructdiffusion", clean, 5.0, 1.25)
    )


def test_unknown_rule_and_scales_that_are_not_finite():
    with pytest.raises(ConfigError, match="did you mean 'instructpix2pix'"):
        branches("instructpixtopix", text=1.0, image=1.0)
    with pytest.raises(ConfigError, match="finite"):
        branches("instructdiffusion", text=float("nan"), image=1.0)


def test_predictions_and_weights_must_match():
    with pytest.raises(ValueError, match="zip"):
        combine(torch.zeros(1, 2), [0.5, 0.5])
