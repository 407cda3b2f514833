import dataclasses
import pickle
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from idiff.diffusion import NoiseSchedule
from idiff.errors import ConfigError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


@pytest.mark.parametrize("zero", [False, True])
def test_alphas_cumprod_equal_diffusers(zero):
    ours = NoiseSchedule(zero_terminal_snr=zero).alphas_cumprod
    theirs = DDIMScheduler(**BETAS, rescale_betas_zero_snr=zero).alphas_cumprod
    assert ours.dtype == torch.float32 and ours.shape == (1000,)
    torch.testing.assert_close(ours, theirs, rtol=2e-4 if zero else 2e-5, atol=1e-7)
    assert (ours.diff() < 0).all()


def test_alphas_cumprod_equal_numpy_float64():
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    expected = np.cumprod(1 - betas)
    np.testing.assert_allclose(NoiseSchedule().alphas_cumprod.numpy(), expected, rtol=1e-7)


def test_zero_terminal_snr_is_exactly_zero_and_keeps_the_first():
    plain, zero = NoiseSchedule(), NoiseSchedule(zero_terminal_snr=True)
    assert zero.alphas_cumprod[-1] == 0 and zero.snr(torch.tensor([999])) == 0
    assert zero.alphas_cumprod[0] == plain.alphas_cumprod[0]
    assert plain.alphas_cumprod[-1] > 0


@pytest.mark.parametrize("method", ["add_noise", "velocity"])
@pytest.mark.parametrize("zero", [False, True])
def test_add_noise_and_velocity_equal_diffusers(method, zero):
    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 5, 4, 3, 3, generator=rng)
    t = torch.tensor([0, 1, 500, 900, 999])
    peer = DDIMScheduler(**BETAS, rescale_betas_zero_snr=zero)
    theirs = peer.add_noise(clean, noise, t) if method == "add_noise" else peer.get_velocity(clean, noise, t)
    torch.testing.assert_close(getattr(NoiseSchedule(zero_terminal_snr=zero), method)(clean, noise, t), theirs)


def test_one_timestep_for_all_rows():
    schedule = NoiseSchedule()
    clean, noise = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(schedule.add_noise(clean, noise, 7), schedule.add_noise(clean, noise, torch.tensor([7, 7, 7])))


def test_add_noise_keeps_the_dtype():
    half = torch.ones(2, 4, 2, 2, dtype=torch.bfloat16)
    assert NoiseSchedule().add_noise(half, half, torch.tensor([0, 999])).dtype == torch.bfloat16


def test_snr():
    schedule = NoiseSchedule()
    t = torch.tensor([[0, 10], [500, 999]])
    a = schedule.alphas_cumprod[t].double()
    torch.testing.assert_close(schedule.snr(t).double(), a / (1 - a), rtol=1e-4, atol=0)
    assert schedule.snr(t).shape == t.shape


@pytest.mark.parametrize("spacing", ["trailing", "leading", "linspace"])
def test_timesteps_fall_strictly_for_every_number_of_steps(spacing):
    schedule = NoiseSchedule()
    for steps in range(1, 1001):
        ts = schedule.timesteps(steps, spacing=spacing)
        assert len(ts) == steps and min(ts) >= 0 and max(ts) <= 999, steps
        assert all(a > b for a, b in pairwise(ts)), steps
        if spacing != "leading":
            assert ts[0] == 999
        if spacing != "trailing" and steps > 1:
            assert ts[-1] == 0


@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [2, 3, 4, 7, 20, 25, 50, 100, 333, 999, 1000])
def test_timesteps_equal_diffusers(spacing, steps):
    peer = DDIMScheduler(**BETAS, timestep_spacing=spacing)
    peer.set_timesteps(steps)
    assert NoiseSchedule().timesteps(steps, spacing=spacing) == peer.timesteps.tolist()


@pytest.mark.parametrize("steps", [2, 3, 4, 7, 20, 25, 50, 100, 333, 999, 1000])
def test_evenly_spaced_timesteps_are_those_of_diffusers_euler_ancestral(steps):
    """They lie between two of the table, as in k-diffusion; diffusers' DDIM rounds them."""
    peer = EulerAncestralDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    peer.set_timesteps(steps)
    assert NoiseSchedule().timesteps(steps, spacing="linspace") == pytest.approx(peer.timesteps.tolist(), abs=1e-4)


def test_noise_levels_between_timesteps_are_interpolated_in_the_logarithm():
    schedule = NoiseSchedule()
    low, high = (float(((1 - a) / a).sqrt()) for a in schedule.alphas_cumprod[[10, 11]].double())
    alpha, sigma = schedule.coefficients(10.25, torch.zeros(1, 1))
    assert float(sigma / alpha) == pytest.approx(low**0.75 * high**0.25, rel=1e-5)
    assert float(alpha**2 + sigma**2) == pytest.approx(1.0, abs=1e-6)
    whole, table = (
        schedule.coefficients(torch.tensor([10.0, 999.0]), torch.zeros(2)),
        schedule.coefficients(torch.tensor([10, 999]), torch.zeros(2)),
    )
    assert all(torch.equal(one, other) for one, other in zip(whole, table, strict=True))


def test_between_the_last_two_timesteps_at_zero_terminal_snr_all_is_finite():
    schedule = NoiseSchedule(zero_terminal_snr=True)
    assert float(schedule.squared([999])[0]) == 0
    near = schedule.squared([998, 998.5])
    assert 0 < float(near[1]) < float(near[0])


def test_one_step_starts_from_the_last_timestep():
    schedule = NoiseSchedule()
    assert schedule.timesteps(1) == schedule.timesteps(1, spacing="linspace") == [999]
    peer = EulerDiscreteScheduler(**BETAS, timestep_spacing="trailing")
    peer.set_timesteps(1)
    assert peer.timesteps.tolist() == [999]
    assert schedule.timesteps(4) == [999, 749, 499, 249]


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_too_few_or_many_steps(steps):
    with pytest.raises(ConfigError, match=f"{steps} sampling steps: expected 1 to 1000"):
        NoiseSchedule().timesteps(steps)


def test_unknown_spacing_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'trailing'"):
        NoiseSchedule().timesteps(4, spacing="trailin")


@pytest.mark.parametrize(
    "settings", [{"num_train_timesteps": 1}, {"beta_start": 0.0}, {"beta_start": 0.02}, {"beta_end": 1.0}]
)
def test_impossible_schedules_are_refused(settings):
    with pytest.raises(ConfigError, match="noise schedule"):
        NoiseSchedule(**settings)


def test_pickle_copy_and_equality():
    schedule = NoiseSchedule(zero_terminal_snr=True)
    again = pickle.loads(pickle.dumps(schedule))
    assert again == schedule and hash(again) == hash(schedule)
    assert torch.equal(again.alphas_cumprod, schedule.alphas_cumprod)
    assert schedule != NoiseSchedule()
    with pytest.raises(dataclasses.FrozenInstanceError):
        schedule.beta_end = 0.02


def test_to_moves_a_copy():
    schedule = NoiseSchedule()
    moved = schedule.to("meta")
    assert moved.alphas_cumprod.device.type == "meta" and schedule.alphas_cumprod.device.type == "cpu"
    assert moved == schedule
