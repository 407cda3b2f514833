"""Scheduled sampling: what the network sees at a timestep is what DDIM reaches from noise in one step."""

import pytest
import torch

from idiff.diffusion import NoiseSchedule, draw_share, sample
from idiff.errors import ConfigError
from idiff.models.objective import Objective
from idiff.models.scheduled_sampling import from_own_prediction
from idiff.utils.seeds import torch_rng


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def guess(noisy, t, states, condition):
    return 0.3 * noisy + states.mean(dim=1)[..., None, None] + condition


def test_the_network_sees_what_sampling_in_two_steps_shows_it():
    schedule = NoiseSchedule(zero_terminal_snr=True)
    noise, states, source = drawn(4, 3, 8, 8), drawn(4, 5, 3, seed=1), drawn(4, 3, 8, 8, seed=2)
    t = torch.full((4,), 500)
    noisy = from_own_prediction(
        guess, torch.zeros_like(noise), noise, t, states, source, torch.ones(4, dtype=torch.bool), schedule=schedule
    )
    seen = []

    def denoise(latents, at):
        seen.append(latents)
        clean = guess(latents, at, states, source)
        alpha, sigma = schedule.coefficients(at, latents)
        return clean, (latents - alpha * clean) / sigma

    rngs = [torch_rng(0, "sample", i) for i in range(4)]
    sample("ddim", denoise, noise=noise, schedule=schedule, timesteps=[999, 500], rngs=rngs)
    torch.testing.assert_close(noisy, seen[1], atol=1e-5, rtol=1e-5)


def test_only_chosen_examples_before_the_last_timestep_are_replaced():
    schedule = NoiseSchedule(zero_terminal_snr=True)
    noise, states, source, noisy = (
        drawn(4, 3, 8, 8),
        drawn(4, 5, 3, seed=1),
        drawn(4, 3, 8, 8, seed=2),
        drawn(4, 3, 8, 8, seed=3),
    )
    rows, t = torch.tensor([True, False, True, True]), torch.tensor([10, 10, 999, 998])
    found = from_own_prediction(guess, noisy, noise, t, states, source, rows, schedule=schedule)
    assert [bool((a != b).any()) for a, b in zip(found, noisy, strict=True)] == [True, False, False, True]
    nothing = torch.zeros(4, dtype=torch.bool)
    assert from_own_prediction(guess, noisy, noise, t, states, source, nothing, schedule=schedule) is noisy


def test_the_loss_learns_from_own_predictions(backbone, batch):
    backbone.objective.prediction, backbone.objective.terminal_share = "sample", 0.0
    plain = backbone.loss(batch, seed=0)
    backbone.objective.scheduled_sampling = 1.0
    own = backbone.train().loss(batch, seed=0)
    own.backward()
    assert plain != own
    assert backbone.unet.conv_in.weight.grad.abs().sum() > 0
    backbone.objective.terminal_share = 1.0
    terminal = backbone.loss(batch, seed=0)
    backbone.objective.scheduled_sampling = 0.0
    assert torch.equal(terminal, backbone.loss(batch, seed=0))


def test_share():
    rows = draw_share([torch_rng(0, "noise", i) for i in range(2000)], 0.25)
    assert 0.22 < rows.float().mean() < 0.28


def test_it_needs_clean_latents():
    with pytest.raises(ConfigError, match=r"objective.scheduled_sampling needs the prediction 'sample', got 'epsilon'"):
        Objective(scheduled_sampling=0.5)
