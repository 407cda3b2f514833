import json

import pytest
import torch

from idiff.errors import CheckpointError
from idiff.models.familiarity import Familiarity, features


def latents(count, seed=0, *, spread=1.0, shift=0.0):
    """Smooth maps, each with a mean and a strength of its own."""
    rng = torch.Generator().manual_seed(seed)
    waves = torch.nn.functional.interpolate(torch.randn(count, 4, 4, 4, generator=rng), size=16, mode="bilinear")
    strength = 1 + 0.3 * torch.rand(count, 4, 1, 1, generator=rng)
    return spread * strength * waves + torch.randn(count, 4, 1, 1, generator=rng) + shift


@pytest.fixture(scope="module")
def known():
    return Familiarity.fit(latents(600))


def test_pictures_like_those_of_the_training_are_familiar(known):
    scores = known(latents(300, seed=1))
    assert scores.shape == (300,)
    assert 0.3 < float((scores == 1).float().mean()) < 0.7
    assert float((scores >= 0.5).float().mean()) > 0.95


@pytest.mark.parametrize("change", [{"shift": 8.0}, {"spread": 5.0}, {"spread": 0.0}])
def test_pictures_of_another_kind_are_not(known, change):
    assert float(known(latents(50, seed=1, **change)).max()) < 0.05


def test_noise_of_the_same_mean_and_spread_is_told_by_its_neighbours(known):
    smooth = latents(50, seed=1)
    order = torch.randperm(256, generator=torch.Generator().manual_seed(0))
    shuffled = smooth.flatten(2)[:, :, order].view_as(smooth)
    assert torch.allclose(features(smooth)[:, :8], features(shuffled)[:, :8], atol=1e-5)
    assert float(known(shuffled).max()) < 0.05


def test_familiarity_is_one_up_to_the_usual_distance_and_a_half_at_the_far_one(known):
    seen = latents(600)
    assert 0 < known.usual < known.far
    distances = known.distance(seen)
    assert float((distances <= known.usual).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float((distances <= known.far).float().mean()) == pytest.approx(0.99, abs=0.005)
    scores = known(seen)
    assert (scores[distances <= known.usual] == 1).all()
    assert ((scores < 0.5) == (distances > known.far)).all()


def test_features_are_mean_spread_and_difference_of_neighbours():
    ramp = torch.arange(16.0).expand(16, 16)[None, None]
    mean, spread, change = features(ramp)[0].tolist()
    assert (mean, change) == (7.5, 0.5)
    assert spread == pytest.approx(float(ramp.std()))


@pytest.mark.parametrize("scale", [0.1, 1.0, 20.0])
def test_a_description_in_json_brings_it_back(scale):
    fitted = Familiarity.fit(scale * latents(600))
    again = Familiarity.of(json.loads(json.dumps(fitted.describe())))
    for change in ({}, {"shift": 3.0}):
        pictures = scale * latents(100, seed=2, **change)
        assert torch.allclose(again.distance(pictures), fitted.distance(pictures), rtol=0.02)
        assert torch.allclose(again(pictures), fitted(pictures), atol=0.05)


@pytest.mark.parametrize(
    "damage",
    [{"mean": None}, {"mean": [0.0]}, {"precision": [[1.0]]}, {"precision": "x"}, {"usual": "much"}, {"far": None}],
)
def test_a_damaged_description_is_refused(known, damage):
    with pytest.raises(CheckpointError, match="`familiarity` cannot be read"):
        Familiarity.of(known.describe() | damage)
    for name in damage:
        with pytest.raises(CheckpointError, match=name):
            Familiarity.of({key: value for key, value in known.describe().items() if key != name})
