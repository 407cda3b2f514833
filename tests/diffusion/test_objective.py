import pytest
import torch
from torch.nn import functional as F

from idiff.diffusion import (
    NoiseSchedule,
    cell_weights,
    changed_cells,
    check_prediction_type,
    min_snr_weight,
    to_clean_and_noise,
    training_target,
    weighted_errors,
)
from idiff.errors import ConfigError


def weighted_mse(*args, **weights):
    return weighted_errors(*args, **weights).mean()


CASES = [("epsilon", False), ("v_prediction", False), ("sample", False), ("v_prediction", True), ("sample", True)]
T = torch.tensor([0, 1, 250, 998, 999])


@pytest.fixture
def latents():
    return torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("kind", "zero"), CASES)
def test_the_perfect_prediction_gives_back_clean_and_noise(kind, zero, latents):
    clean, noise = latents
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    noisy = schedule.add_noise(clean, noise, T)
    target = training_target(clean, noise, t=T, schedule=schedule, prediction_type=kind)
    got = to_clean_and_noise(target, noisy, t=T, schedule=schedule, prediction_type=kind)
    torch.testing.assert_close(got, (clean, noise), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "zero"), CASES)
def test_clean_and_noise_always_compose_the_noisy_latent(kind, zero, latents):
    """For any prediction, right or wrong: alpha x_0 + sigma eps = x_t."""
    prediction, noisy = latents
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    clean, noise = to_clean_and_noise(prediction, noisy, t=T, schedule=schedule, prediction_type=kind)
    assert clean.isfinite().all() and noise.isfinite().all()
    torch.testing.assert_close(schedule.add_noise(clean, noise, T), noisy, rtol=1e-4, atol=1e-4)


def test_targets_by_their_definition(latents):
    clean, noise = latents
    schedule = NoiseSchedule()
    a = schedule.alphas_cumprod[T].double().view(-1, 1, 1, 1)
    make = lambda kind: training_target(clean, noise, t=T, schedule=schedule, prediction_type=kind)  # noqa: E731
    assert torch.equal(make("epsilon"), noise) and torch.equal(make("sample"), clean)
    torch.testing.assert_close(make("v_prediction"), a.sqrt() * noise - (1 - a).sqrt() * clean, rtol=1e-4, atol=1e-4)


def test_v_at_zero_terminal_snr_is_minus_the_clean_latent(latents):
    clean, noise = latents
    schedule = NoiseSchedule(zero_terminal_snr=True)
    assert torch.equal(training_target(clean, noise, t=999, schedule=schedule, prediction_type="v_prediction"), -clean)


@pytest.mark.parametrize("function", [training_target, to_clean_and_noise])
def test_epsilon_at_zero_terminal_snr_is_refused(function, latents):
    with pytest.raises(ConfigError, match="v_prediction"):
        function(*latents, t=T, schedule=NoiseSchedule(zero_terminal_snr=True), prediction_type="epsilon")


def test_unknown_prediction_type():
    with pytest.raises(ConfigError, match="did you mean 'v_prediction'"):
        check_prediction_type("v_predicton", NoiseSchedule())
    with pytest.raises(ConfigError, match="prediction type"):
        min_snr_weight(torch.ones(1), 5.0, prediction_type="velocity")


@pytest.mark.parametrize("gamma", [1.0, 5.0, 20.0])
def test_min_snr_weights_are_one_weight_in_three_units(gamma):
    """The squared error of eps is snr times, that of v (snr + 1) times that of x_0."""
    snr = NoiseSchedule().snr(torch.arange(1000)).double()
    x0 = min_snr_weight(snr, gamma, prediction_type="sample")
    assert torch.equal(x0, torch.minimum(snr, torch.tensor(gamma, dtype=torch.float64)))
    torch.testing.assert_close(min_snr_weight(snr, gamma, prediction_type="epsilon") * snr, x0)
    torch.testing.assert_close(min_snr_weight(snr, gamma, prediction_type="v_prediction") * (snr + 1), x0)


def test_min_snr_at_zero_terminal_snr_is_finite():
    snr = NoiseSchedule(zero_terminal_snr=True).snr(torch.tensor([999]))
    assert [min_snr_weight(snr, 5.0, prediction_type=kind).item() for kind in ("sample", "v_prediction")] == [0, 0]


def test_min_snr_gamma_must_be_positive():
    with pytest.raises(ConfigError, match="gamma"):
        min_snr_weight(torch.ones(1), 0.0, prediction_type="epsilon")


@pytest.mark.parametrize(("size", "cells"), [((64, 64), (8, 8)), ((48, 80), (6, 10)), ((30, 50), (4, 7))])
def test_changed_cells_equal_a_loop(size, cells):
    rng = torch.Generator().manual_seed(1)
    source = torch.rand(2, 3, *size, generator=rng) * 2 - 1
    target = source.clone()
    for row, y, x, channel in [(0, 0, 0, 0), (0, size[0] - 1, size[1] - 1, 2), (1, size[0] // 2, 5, 1)]:
        target[row, channel, y, x] += 0.3
    target += 0.01
    got = changed_cells(source, target, cells=cells, threshold=0.1)
    assert got.shape == (2, 1, *cells) and got.dtype == torch.bool
    for row in range(2):
        for i in range(cells[0]):
            for j in range(cells[1]):
                y0, y1 = i * size[0] // cells[0], -(-(i + 1) * size[0] // cells[0])
                x0, x1 = j * size[1] // cells[1], -(-(j + 1) * size[1] // cells[1])
                worst = (target - source)[row, :, y0:y1, x0:x1].abs().max()
                assert got[row, 0, i, j] == (worst > 0.1)
    assert got[0].sum() == 2 and not changed_cells(source, source, cells=cells, threshold=0.0).any()


def test_cell_weights():
    changed = torch.tensor([[[[True, False]]]])
    assert cell_weights(changed, weight=4.0).tolist() == [[[[4.0, 1.0]]]]
    with pytest.raises(ConfigError, match="changed cells"):
        cell_weights(changed, weight=0.0)


def test_unweighted_loss_is_the_mean_squared_error(latents):
    a, b = latents.float()
    torch.testing.assert_close(weighted_mse(a, b), F.mse_loss(a, b))
    constant = torch.full((5, 1, 3, 3), 7.0)
    torch.testing.assert_close(weighted_mse(a, b, weight_map=constant, sample_weight=torch.ones(5)), F.mse_loss(a, b))


def test_weighted_loss_equals_a_loop(latents):
    a, b = latents
    rng = torch.Generator().manual_seed(2)
    weights, rows = torch.rand(5, 1, 3, 3, generator=rng) + 0.1, torch.rand(5, generator=rng)
    expected = 0.0
    for i in range(5):
        w = weights[i].expand(4, 3, 3)
        expected += rows[i] * (w * (a[i] - b[i]) ** 2).sum() / w.sum() / 5
    got = weighted_mse(a, b, weight_map=weights, sample_weight=rows)
    torch.testing.assert_close(got.double(), expected.double())


def test_a_constant_error_costs_the_same_under_any_map():
    prediction, target = torch.full((2, 4, 3, 3), 0.5), torch.zeros(2, 4, 3, 3)
    weights = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)) + 0.1
    torch.testing.assert_close(weighted_mse(prediction, target, weight_map=weights), torch.tensor(0.25))


def test_loss_of_a_batch_is_the_mean_of_its_halves(latents):
    a, b = latents[:, :4]
    rng = torch.Generator().manual_seed(2)
    weights, rows = torch.rand(4, 1, 3, 3, generator=rng) + 0.1, torch.rand(4, generator=rng)
    parts = [weighted_mse(a[s], b[s], weight_map=weights[s], sample_weight=rows[s]) for s in (slice(0, 2), slice(2, 4))]
    torch.testing.assert_close(weighted_mse(a, b, weight_map=weights, sample_weight=rows), (parts[0] + parts[1]) / 2)


def test_loss_of_half_precision_is_computed_in_float32():
    a = torch.full((1, 4, 2, 2), 300.0, dtype=torch.float16)
    assert weighted_mse(a, -a) == 600.0**2
