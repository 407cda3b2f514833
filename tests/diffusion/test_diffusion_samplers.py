"""Samplers against diffusers' schedulers, against the exact solution for Gaussian data, and against a point mass."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.diffusion import SAMPLERS, NoiseSchedule, per_sample_noise, sample, to_clean_and_noise
from idiff.errors import ConfigError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from diffusers import (
        DDIMScheduler,
        DPMSolverMultistepScheduler,
        EulerAncestralDiscreteScheduler,
        EulerDiscreteScheduler,
    )

PEERS = {
    "ddim": DDIMScheduler,
    "euler": EulerDiscreteScheduler,
    "euler_ancestral": EulerAncestralDiscreteScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
}
CASES = [
    (name, kind, zero)
    for name in PEERS
    for kind in ("epsilon", "v_prediction", "sample")
    for zero in (False, True)
    if not (kind == "epsilon" and zero)  # impossible
    if not (kind == "sample" and name == "euler_ancestral")  # not in diffusers
]
SHAPE = (4, 6, 6)
MEAN, SPREAD = 0.7, 0.3  # of the Gaussian data


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def rngs(count=3, seed=0):
    return [torch.Generator().manual_seed(100 * seed + i) for i in range(count)]


def clamped(schedule):
    """What diffusers' Euler and DPM schedulers make of a zero-SNR schedule."""
    if not schedule.zero_terminal_snr:
        return schedule
    other = copy.copy(schedule)
    table = schedule.alphas_cumprod.clone()
    table[-1] = 2.0**-24
    object.__setattr__(other, "alphas_cumprod", table)
    return other


def posterior_mean(schedule, x, t):
    """E[x_0 | x_t] of Gaussian data: the exact denoiser."""
    alpha, sigma = schedule.coefficients(t, x)
    gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
    return MEAN + gain * (x - alpha * MEAN)


def gaussian(schedule, kind):
    """A network that predicts Gaussian data exactly."""

    def network(x, t):
        clean = posterior_mean(schedule, x, t)
        alpha, sigma = schedule.coefficients(t, x)
        noise = (x - alpha * clean) / sigma
        return {"epsilon": noise, "v_prediction": schedule.velocity(clean, noise, t), "sample": clean}[kind]

    return network


def random_net(schedule, kind):
    """An untrained network: outputs that agree with no data distribution."""
    generator = torch.Generator().manual_seed(5)
    first, second = torch.randn(8, 5, 3, 3, generator=generator) / 6, torch.randn(4, 8, 3, 3, generator=generator) / 8

    def network(x, t):
        time = torch.full_like(x[:, :1], t / 1000)
        hidden = torch.nn.functional.conv2d(torch.cat([x, time], dim=1), first, padding=1).tanh()
        return torch.nn.functional.conv2d(hidden, second, padding=1)

    return network


def denoiser(network, schedule, kind):
    return lambda x, t: to_clean_and_noise(network(x, t), x, t=t, schedule=schedule, prediction_type=kind)


def run_peer(name, network, *, kind, zero, spacing, timesteps, noise, generators):
    """The loop of a diffusers pipeline."""
    peer = PEERS[name](
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind,
        rescale_betas_zero_snr=zero, timestep_spacing=spacing, **({"clip_sample": False} if name == "ddim" else {}),
    )  # fmt: skip
    if name == "dpmpp_2m":  # its own leading spacing has one more step
        peer.set_timesteps(timesteps=timesteps)
    else:
        peer.set_timesteps(len(timesteps))
    assert [round(float(t)) for t in peer.timesteps] == timesteps
    x = noise * peer.init_noise_sigma
    for t in peer.timesteps:
        output = network(peer.scale_model_input(x, t), round(float(t)))
        extra = {"generator": generators} if name == "euler_ancestral" else {}
        x = peer.step(output, t, x, **extra).prev_sample
    return x


@pytest.mark.parametrize("steps", [1, 2, 4, 25])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("toy", [gaussian, random_net])
@pytest.mark.parametrize(("name", "kind", "zero"), CASES)
def test_equal_to_diffusers(name, toy, kind, zero, spacing, steps):
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    reading = schedule if name == "ddim" else clamped(schedule)
    network, timesteps = toy(schedule, kind), schedule.timesteps(steps, spacing=spacing)
    ours_rngs, their_rngs = rngs(), rngs()
    noise = per_sample_noise(ours_rngs, SHAPE)
    assert torch.equal(noise, per_sample_noise(their_rngs, SHAPE))
    theirs = run_peer(
        name, network, kind=kind, zero=zero, spacing=spacing, timesteps=timesteps, noise=noise, generators=their_rngs
    )
    if "euler" in name and spacing == "leading":  # diffusers starts these from sqrt(1 + s^2), for trailing from s
        noise = noise / (1 - reading.alphas_cumprod[timesteps[0]]).sqrt()
    ours = sample(
        name, denoiser(network, reading, kind), noise=noise, schedule=schedule, timesteps=timesteps, rngs=ours_rngs
    )
    # At zero terminal SNR diffusers' Euler schedulers subtract float32 numbers near 4096 from each other.
    coarse = "euler" in name and zero and timesteps[0] == 999
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-3 if coarse else 1e-4)


@pytest.mark.parametrize(("spacing", "steps"), [("trailing", 3), ("trailing", 7), ("linspace", 4), ("linspace", 28)])
@pytest.mark.parametrize("name", ["euler", "euler_ancestral", "dpmpp_2m"])
def test_equal_to_diffusers_where_steps_do_not_divide(name, spacing, steps):
    schedule = NoiseSchedule()
    network, timesteps = random_net(schedule, "v_prediction"), schedule.timesteps(steps, spacing=spacing)
    ours_rngs, their_rngs = rngs(), rngs()
    noise = per_sample_noise(ours_rngs, SHAPE)
    per_sample_noise(their_rngs, SHAPE)
    theirs = run_peer(
        name, network, kind="v_prediction", zero=False, spacing=spacing, timesteps=timesteps, noise=noise,
        generators=their_rngs,
    )  # fmt: skip
    denoise = denoiser(network, schedule, "v_prediction")
    ours = sample(name, denoise, noise=noise, schedule=schedule, timesteps=timesteps, rngs=ours_rngs)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(SAMPLERS)),
    steps=st.one_of(st.integers(1, 40), st.sampled_from([100, 333, 1000])),
    spacing=st.sampled_from(["trailing", "leading", "linspace"]),
    zero=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_point_mass_is_found_at_any_number_of_steps(name, steps, spacing, zero, seed):
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    point = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(seed))

    def denoise(x, t):
        alpha, sigma = schedule.coefficients(t, x)
        return point, (x - alpha * point) / sigma

    generators = rngs(2, seed)
    noise = per_sample_noise(generators, SHAPE)
    timesteps = schedule.timesteps(steps, spacing=spacing)
    got = sample(name, denoise, noise=noise, schedule=schedule, timesteps=timesteps, rngs=generators)
    torch.testing.assert_close(got, point, rtol=1e-5, atol=1e-5)


def exact_answer(noise, schedule, timesteps):
    """The probability-flow ODE of Gaussian data keeps z = (x_t - alpha m) / sqrt(alpha^2 d^2 + sigma^2).

    So the exact x_t at the last timestep is known; from there every sampler goes straight to the predicted x_0.
    """

    def spread(t):
        alpha, sigma = schedule.coefficients(t, noise)
        return alpha * MEAN, (alpha**2 * SPREAD**2 + sigma**2).sqrt()

    (first_mean, first_spread), (last_mean, last_spread) = spread(timesteps[0]), spread(timesteps[-1])
    last = last_mean + last_spread * (noise - first_mean) / first_spread
    return posterior_mean(schedule, last, timesteps[-1])


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(("name", "order", "error"), [("ddim", 1, 1e-2), ("dpmpp_2m", 2, 3e-4)])
def test_deterministic_samplers_converge_with_their_order(name, order, error, zero):
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    denoise = denoiser(gaussian(schedule, "v_prediction"), schedule, "v_prediction")
    noise = per_sample_noise(rngs(), SHAPE).double()
    log_snr = schedule.snr(torch.arange(1000)).log()

    def mean_error(steps):
        even = torch.linspace(log_snr[950].item(), log_snr[30].item(), steps)
        timesteps = [int((log_snr - level).abs().argmin()) for level in even]
        got = sample(name, denoise, noise=noise, schedule=schedule, timesteps=timesteps)
        return (got - exact_answer(noise, schedule, timesteps)).abs().mean().item()

    coarse, fine = mean_error(16), mean_error(32)
    assert fine < error
    assert coarse / fine > 0.9 * 2**order


@pytest.mark.parametrize("zero", [False, True])
def test_ancestral_samples_have_the_distribution_of_the_data(zero):
    schedule = NoiseSchedule(zero_terminal_snr=zero)
    denoise = denoiser(gaussian(schedule, "v_prediction"), schedule, "v_prediction")
    generators = rngs(8)
    noise = per_sample_noise(generators, (4, 32, 32))
    timesteps = schedule.timesteps(500)
    got = sample("euler_ancestral", denoise, noise=noise, schedule=schedule, timesteps=timesteps, rngs=generators)
    assert abs(got.mean() - MEAN) < 0.01 and abs(got.std() - SPREAD) < 0.015
    correlation = torch.corrcoef(torch.stack([got.flatten(), noise.flatten()]))[0, 1]
    assert abs(correlation) < 0.05  # the start is forgotten


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_is_one_evaluation_at_the_last_timestep(name):
    schedule = NoiseSchedule(zero_terminal_snr=True)
    calls = []

    def denoise(x, t):
        calls.append((x.clone(), t))
        return 2 * x, x

    noise = per_sample_noise(rngs(), SHAPE)
    got = sample(name, denoise, noise=noise, schedule=schedule, timesteps=schedule.timesteps(1), rngs=rngs())
    assert len(calls) == 1 and calls[0][1] == 999
    assert torch.equal(calls[0][0], noise) and torch.equal(got, 2 * noise)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_does_not_depend_on_its_batch(name):
    schedule = NoiseSchedule()
    denoise = denoiser(gaussian(schedule, "epsilon"), schedule, "epsilon")

    def run(rows):
        generators = [rngs()[row] for row in rows]
        noise = per_sample_noise(generators, SHAPE)
        return sample(
            name, denoise, noise=noise, schedule=schedule, timesteps=schedule.timesteps(5), rngs=generators
        )  # fmt: skip

    assert torch.equal(run([0, 1, 2])[1:], run([1, 2]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_schedule_with_many_timesteps_stays_finite(name):
    """Its second-last alphas_cumprod lies below 2^-24."""
    schedule = NoiseSchedule(zero_terminal_snr=True, num_train_timesteps=4000)
    assert schedule.alphas_cumprod[-2] < 2.0**-24
    denoise = denoiser(gaussian(schedule, "v_prediction"), schedule, "v_prediction")
    generators = rngs()
    noise = per_sample_noise(generators, SHAPE)
    timesteps = schedule.timesteps(4000)[:3] + schedule.timesteps(20)[1:]
    got = sample(name, denoise, noise=noise, schedule=schedule, timesteps=timesteps, rngs=generators)
    assert got.isfinite().all() and abs(got.mean() - MEAN) < 0.1


def test_ancestral_needs_one_generator_a_row():
    schedule = NoiseSchedule()
    with pytest.raises(ValueError, match="2 generators for 3 examples"):
        sample(
            "euler_ancestral", lambda x, t: (x, x), noise=torch.zeros(3, *SHAPE), schedule=schedule, timesteps=[999],
            rngs=rngs(2),
        )  # fmt: skip


def test_unknown_sampler_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'euler_ancestral'"):
        sample(
            "euler_ancestal", lambda x, t: (x, x), noise=torch.zeros(1, 1), schedule=NoiseSchedule(), timesteps=[999]
        )


@pytest.mark.parametrize("timesteps", [[], [0, 999], [5, 5], [1000], [3, -1]])
def test_impossible_timesteps(timesteps):
    with pytest.raises(ConfigError, match="strictly falling"):
        sample("ddim", lambda x, t: (x, x), noise=torch.zeros(1, 1), schedule=NoiseSchedule(), timesteps=timesteps)
