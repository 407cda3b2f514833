import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_autoencoder import rendered_by_autoencoder, scenes

from idiff.decoders import ColorDecoder, build
from idiff.decoders.color import color_scores
from idiff.errors import ConfigError
from idiff.utils.painting import PALETTES, blend, rgb_values

SATURATED = PALETTES["saturated"]


def test_the_simulated_autoencoder_is_as_bad_as_stated():
    pictures = scenes()
    error = ((rendered_by_autoencoder(pictures, 0) - pictures) / 2).square().mean()
    assert 25.5 < float(-10 * torch.log10(error)) < 28


def ellipses(count=6, size=64):
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:size, :size]
    masks = []
    for _ in range(count):
        (cx, cy), (a, b) = rng.uniform(16, 48, 2), rng.uniform(6, 16, 2)
        masks.append(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 <= 1)
    return torch.from_numpy(np.stack(masks))


def iou(name, transparency, *, smooth, noise=0.08):
    rgb = PALETTES["paper"][name]
    sources, masks = scenes(), ellipses()
    targets = torch.stack([blend(s, m, rgb, transparency) for s, m in zip(sources, masks, strict=True)])
    scores = color_scores(
        rendered_by_autoencoder(targets, 1, noise=noise),
        rendered_by_autoencoder(sources, 2, noise=noise),
        rgb_values([rgb])[None].expand(len(sources), 1, 3),
        transparency,
        smooth=smooth,
    )
    found = scores[:, 0] > 0.5
    return float(((found & masks).sum((1, 2)) / (found | masks).sum((1, 2))).min())


@pytest.mark.parametrize("name", SATURATED)
@pytest.mark.parametrize("transparency", [0.0, 0.3, 0.35, 0.5])
def test_masks_survive_the_autoencoder(name, transparency):
    assert iou(name, transparency, smooth=3) > 0.9


def test_smoothing_helps_where_noise_is_strong():
    gain = [iou(name, 0.65, smooth=3, noise=0.15) - iou(name, 0.65, smooth=1, noise=0.15) for name in SATURATED]
    assert min(gain) > 0.02


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 5), st.sampled_from([0.0, 0.35, 0.65]))
def test_more_than_half_means_nearest(seed, count, transparency):
    """Against the definition, written out pixel by pixel."""
    random = torch.Generator().manual_seed(seed)
    edited, source = (torch.rand(2, 3, 5, 4, generator=random) * 2 - 1 for _ in range(2))
    colors = rgb_values(list(SATURATED.values()))[torch.randperm(6, generator=random)[:count]][None].expand(2, -1, 3)
    scores = color_scores(edited, source, colors, transparency)
    assert scores.shape == (2, count, 5, 4) and scores.min() >= 0 and scores.max() <= 1
    choices = torch.stack(
        [source] + [transparency * source + (1 - transparency) * c.view(1, 3, 1, 1) for c in colors[0]]
    )
    nearest = ((edited - choices) ** 2).sum(dim=2).argmin(dim=0)
    for number in range(count):
        assert torch.equal(scores[:, number] > 0.5, nearest == number + 1)


def test_an_untouched_picture_has_no_paint():
    pictures = scenes(2)
    colors = rgb_values(list(SATURATED.values()))[None].expand(2, -1, 3)
    assert not (color_scores(pictures, pictures, colors, 0.35) > 0.5).any()


def test_a_source_in_the_asked_color_stays_undecided():
    red = rgb_values([(255, 0, 0)])
    picture = red.view(1, 3, 1, 1).expand(1, 3, 8, 8).clone()
    scores = color_scores(picture, picture, red[None], 0.0)
    assert (scores <= 0.5).all() and (scores > 0.4).all()


def test_colors_that_were_not_asked_for():
    pictures = scenes(2)
    colors = rgb_values([(255, 0, 0), (0, 255, 0)])[None].repeat(2, 1, 1)
    colors[1, 1] = float("nan")
    scores = color_scores(-pictures, pictures, colors, 0.0)
    assert torch.equal(scores[1, 1], torch.zeros(64, 64)) and scores.isfinite().all()
    assert torch.equal(scores[1, :1], color_scores(-pictures[1:], pictures[1:], colors[1:, :1], 0.0)[0])


def test_a_picture_of_nan_is_no_answer():
    pictures = scenes(1)
    scores = color_scores(torch.full_like(pictures, float("nan")), pictures, rgb_values([(255, 0, 0)])[None], 0.0)
    assert scores.isfinite().all() and not (scores > 0.5).any()


@pytest.mark.parametrize("arguments", [{"smooth": 2}, {"smooth": 0}, {"noise_floor": 0.0}])
def test_settings_are_checked(arguments):
    with pytest.raises(ConfigError):
        ColorDecoder(**arguments)


def test_build_by_name():
    decoder = build("color", smooth=5)
    assert isinstance(decoder, ColorDecoder) and decoder.smooth == 5
    with pytest.raises(ConfigError, match="did you mean 'color'"):
        build("colour")
    with pytest.raises(ConfigError, match="smoth"):
        build("color", smoth=5)
