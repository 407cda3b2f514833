import math

import numpy as np
import pytest
import torch
from simulated_autoencoder import rendered_by_autoencoder, scenes

from idiff.decoders import locate
from idiff.decoders.color import color_scores
from idiff.utils.painting import PALETTES, disc_maps, discs, rgb_values

COLORS = list(PALETTES["saturated"].values())


def painted(points, *, size=64, radius=4.0, seed=None, first=0):
    """Score maps of discs that a perfect decoder would give, or those read behind the simulated autoencoder."""
    colors = (COLORS + COLORS)[first : first + len(points)]
    source = scenes(1, size)
    target = discs(source[0], points, colors, radius=radius)[None]
    if seed is not None:
        source, target = rendered_by_autoencoder(source, seed), rendered_by_autoencoder(target, seed + 1)
    return color_scores(target, source, rgb_values(colors)[None], 0.0)


def errors(points, **kwargs):
    found = locate(painted(points, **kwargs), radius=kwargs.get("radius", 4.0))[0]
    return np.hypot(*(found[:, :2].numpy() - points).T)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.8])
def test_exact_discs_are_found_to_a_fraction_of_a_pixel(fraction):
    points = np.array([[10, 12], [50, 20], [30, 40], [12, 50], [48, 52]]) + fraction
    assert errors(points).max() < 0.3


@pytest.mark.parametrize("color", range(len(COLORS)))
def test_discs_survive_the_autoencoder(color):
    rng = np.random.default_rng(color)
    worst = [errors(rng.uniform(6, 57, (1, 2)), seed=seed, first=color).max() for seed in range(8)]
    assert max(worst) < 0.5


def test_a_full_prompt_survives_the_autoencoder():
    rng = np.random.default_rng(0)
    for seed in range(8):
        cells = rng.permutation(16)[:5]
        points = np.stack([cells % 4, cells // 4], axis=1) * 15.5 + 8 + rng.uniform(-3, 3, (5, 2))
        assert errors(points, seed=seed).max() < 1.0


@pytest.mark.parametrize("point", [(0.0, 30.0), (63.0, 10.0), (31.3, 0.2), (20.0, 63.4), (0.0, 0.0), (62.0, 1.0)])
@pytest.mark.parametrize("seed", [None, 5])
def test_discs_on_the_border_are_not_pulled_inwards(point, seed):
    assert errors(np.array([point]), seed=seed).max() < 0.6


@pytest.mark.parametrize("shift", [2.0, 4.0, 6.0])
def test_a_disc_under_a_later_one_is_not_pulled_away(shift):
    points = np.array([[30.0, 30.0], [30.0 + shift, 31.0]])
    worst = errors(points)
    assert worst[1] < 0.3 and worst[0] < (1.0 if shift > 3 else 2.0)


def test_larger_pictures():
    points = np.array([[40.3, 200.1], [128.0, 128.5], [250.0, 3.0]])
    assert errors(points, size=256, radius=10.0, seed=1).max() < 0.6


def test_nothing_painted_is_nothing_found():
    scores = painted(np.array([[30.0, 30.0]]))
    for empty in (torch.zeros_like(scores), torch.full_like(scores, 0.5), scores[:, :, :, :4]):
        found = locate(empty, radius=4.0)[0, 0]
        assert found[:2].isnan().all() and found[2] == 0


def test_specks_are_no_discs():
    scores = torch.full((1, 1, 64, 64), 0.1)
    scores[0, 0, torch.randperm(64)[:40], torch.randperm(64)[:40]] = 0.9
    assert locate(scores, radius=4.0)[0, 0, 0].isnan()


def test_the_disc_wins_over_a_larger_number_of_specks():
    scores = torch.full((1, 1, 64, 64), 0.1)
    scores[0, 0, ::3, ::3] = 0.8
    scores[0, 0][disc_maps(np.array([[45.0, 17.0]]), (64, 64), 4.0)[0]] = 0.95
    assert math.dist(locate(scores, radius=4.0)[0, 0, :2].tolist(), (45, 17)) < 0.5


def test_score_is_the_filled_share():
    full = locate(painted(np.array([[30.0, 30.0]])), radius=4.0)[0, 0, 2]
    assert 0.9 < full <= 1
    half = torch.full((1, 1, 64, 64), 0.1)
    half[0, 0, 26:35, 26:35][::2] = 0.95
    assert 0.3 < locate(half, radius=4.0)[0, 0, 2] < 0.8


def test_batches_and_maps_are_independent():
    one, two = painted(np.array([[20.0, 20.0]])), painted(np.array([[40.0, 33.0]]))
    both = locate(torch.cat([one, two]), radius=4.0)
    assert torch.allclose(both[0], locate(one, radius=4.0)[0]) and torch.allclose(both[1], locate(two, radius=4.0)[0])


def test_faint_discs_are_placed_when_asked_with_a_score_that_says_so():
    """A third of the paint is not a disc; `faint` says where it lies all the same. A clear disc is found alike either way."""
    places = np.array([[14.0, 20.0], [44.0, 40.0]])
    source = scenes(1, 64)
    target = discs(source[0], places, COLORS[:2], radius=4.0)[None]
    target[:, :, :, :30] = 0.65 * source[:, :, :, :30] + 0.35 * target[:, :, :, :30]
    scores = color_scores(target, source, rgb_values(COLORS[:2])[None], 0.0)
    sure, kept = (locate(scores, radius=4.0, faint=faint)[0] for faint in (False, True))
    assert math.isnan(float(sure[0, 0])) and float(sure[0, 2]) == 0
    assert np.hypot(*(kept[0, :2].numpy() - places[0])) < 1.0 and 0 < float(kept[0, 2]) < 0.25
    assert torch.equal(sure[1], kept[1]) and float(kept[1, 2]) > 0.9
    nothing = locate(color_scores(source, source, rgb_values(COLORS[:1])[None], 0.0), radius=4.0, faint=True)
    assert torch.isfinite(nothing).all() and float(nothing[0, 0, 2]) < 0.05
