import json

import pytest
import torch
from torch.nn import functional as F

from idiff.errors import CheckpointError
from idiff.models.ood import OODScore, features


def pictures(count, seed=0, *, cells=8, noise=0.03):
    """Patches of color with grain, as large as the number of cells says."""
    rng = torch.Generator().manual_seed(seed)
    patches = F.interpolate(torch.rand(count, 3, cells, cells, generator=rng) * 2 - 1, size=64, mode="nearest")
    grain = noise * (0.7 + 0.6 * torch.rand(count, 1, 1, 1, generator=rng))
    return (patches + grain * torch.randn(patches.shape, generator=rng)).clamp(-1, 1)


def rendered(shown):
    """An autoencoder that takes the grain out and blurs the edges."""
    return F.interpolate(F.avg_pool2d(shown, 2), size=64, mode="bilinear")


def seen(count, seed=0, **changes):
    shown = pictures(count, seed, **changes)
    return shown, rendered(shown)


@pytest.fixture(scope="module")
def known():
    return OODScore.fit(*seen(600))


def test_pictures_like_those_of_the_training_are_familiar(known):
    scores = known(*seen(200, seed=1))
    assert scores.shape == (200,)
    assert 0.3 < float((scores == 1).float().mean()) < 0.7
    assert float((scores >= 0.5).float().mean()) > 0.9


@pytest.mark.parametrize("change", [{"cells": 32}, {"noise": 0.3}, {"noise": 0.0}])
def test_pictures_of_another_kind_are_not(known, change):
    assert float(known(*seen(50, seed=1, **change)).max()) < 0.05


def test_a_picture_that_is_rendered_worse_is_less_familiar(known):
    shown, right = seen(50, seed=1)
    assert float(known(shown, right.roll(4, dims=-1)).mean()) < 0.1
    assert float(known(shown, right).mean()) > 0.7


def test_familiarity_is_one_up_to_the_usual_distance_and_a_half_at_the_far_one(known):
    own = seen(600)
    assert 0 < known.usual < known.far
    distances, scores = known.distance(*own), known(*own)
    assert float((distances <= known.usual).float().mean()) == pytest.approx(0.5, abs=0.01)
    assert float((distances <= known.far).float().mean()) == pytest.approx(0.99, abs=0.005)
    assert (scores[distances <= known.usual] == 1).all()
    assert ((scores < 0.5) == (distances > known.far)).all()


def test_features_are_quantiles_of_the_logarithm_of_errors_and_steps():
    ramp = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64).contiguous()
    found = features(ramp, ramp - 0.1)[0]
    assert found.shape == (24,)
    assert found[:6].exp().tolist() == pytest.approx([0.01] * 6, rel=1e-4)
    assert found[6:8].exp().tolist() == pytest.approx([1e-3, 1e-3], rel=1e-3)
    assert found[11].exp() == pytest.approx(2 / 63, rel=1e-3)
    assert found[17].exp() == pytest.approx(4 / 63, rel=1e-3)


def test_a_description_in_json_brings_it_back(known):
    again = OODScore.of(json.loads(json.dumps(known.describe())))
    for change in ({}, {"cells": 16}):
        other = seen(100, seed=2, **change)
        assert torch.allclose(again.distance(*other), known.distance(*other), rtol=0.02)
        assert torch.allclose(again(*other), known(*other), atol=0.05)


@pytest.mark.parametrize(
    "damage",
    [{"mean": None}, {"mean": [0.0]}, {"precision": [[1.0]]}, {"precision": "x"}, {"usual": "much"}, {"far": None}],
)
def test_a_damaged_description_is_refused(known, damage):
    with pytest.raises(CheckpointError, match="`ood_score` cannot be read"):
        OODScore.of(known.describe() | damage)
    for name in damage:
        with pytest.raises(CheckpointError, match=name):
            OODScore.of({key: value for key, value in known.describe().items() if key != name})
