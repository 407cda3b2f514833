"""From noise to a clean latent: deterministic and ancestral samplers as pure functions.

All of them work on x_t = alpha_t x_0 + sigma_t eps (variance preserving), end at the clean latent (alpha 1, sigma 0),
and call the network once a step. At one step each of them returns the predicted x_0. They agree with diffusers'
schedulers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from idiff.checks import is_path
from idiff.diffusion.draws import per_sample_noise
from idiff.diffusion.schedule import TERMINAL, NoiseSchedule
from idiff.errors import ConfigError, unknown
from idiff.utils.lookup import find

Denoise = Callable[[Tensor, float], tuple[Tensor, Tensor]]
"""(x_t (B, ...), t) -> predicted (x_0, eps), each (B, ...). t may lie between two timesteps, see `NoiseSchedule.timesteps`."""


class Sampler(Protocol):
    """What every sampler is; `sample` documents the arguments."""

    def __call__(
        self,
        denoise: Denoise,
        noise: Tensor,
        *,
        schedule: NoiseSchedule,
        timesteps: Sequence[float],
        rngs: Sequence[torch.Generator],
    ) -> Tensor:
        """Return x_0 (B, ...)."""
        ...


def sample(
    name: str,
    denoise: Denoise,
    *,
    noise: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator] = (),
) -> Tensor:
    """Run the sampler of this name.

    Args:
        name: one of `SAMPLERS`, or the path of a function of one's own, `module.function`, which is called as they are.
        denoise: the guided network.
        noise: standard normal (B, ...), float32.
        schedule: the forward process.
        timesteps: strictly falling, as `NoiseSchedule.timesteps` gives them.
        rngs: B generators, one per example; only samplers that add noise use them (`euler_ancestral`).

    Returns:
        x_0 (B, ...).

    Raises:
        ConfigError: an unknown sampler, or timesteps that are empty, out of range or not falling.
    """
    if name not in SAMPLERS and not is_path(name):
        raise unknown("sampler", name, SAMPLERS)
    sampler: Sampler = SAMPLERS[name] if name in SAMPLERS else find(name, what="sampler")
    total = schedule.num_train_timesteps
    falling = all(now > after for now, after in pairwise(timesteps))
    if not timesteps or not falling or timesteps[0] > total - 1 or timesteps[-1] < 0:
        raise ConfigError(
            f"timesteps {list(timesteps)}: expected at least one, strictly falling, from {total - 1} down to 0."
        )
    return sampler(denoise, noise, schedule=schedule, timesteps=timesteps, rngs=rngs)


def ddim(
    denoise: Denoise,
    noise: Tensor,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator] = (),
) -> Tensor:
    """DDIM with eta = 0 (Song et al., arXiv 2010.02502, equation 12). Deterministic; arguments as `sample`."""
    x = noise
    for t, (_, (alpha, sigma)) in zip(timesteps, pairwise(_levels(schedule, timesteps)), strict=True):
        clean, eps = denoise(x, t)
        x = alpha * clean + sigma * eps
    return x


def euler(
    denoise: Denoise,
    noise: Tensor,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator] = (),
) -> Tensor:
    """Euler's method on the probability-flow ODE (Karras et al., arXiv 2206.00364, algorithm 1 without its correction).

    In the variable x_t / alpha_t, whose noise level is s = sigma_t / alpha_t, a step x + (s' - s) eps is the DDIM step.
    What differs is the start, s times the noise: x_t is sigma_t times the noise. Deterministic; arguments as `sample`.
    """
    return ddim(denoise, _start(noise, schedule, timesteps), schedule=schedule, timesteps=timesteps, rngs=rngs)


def euler_ancestral(
    denoise: Denoise,
    noise: Tensor,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator] = (),
) -> Tensor:
    """Euler steps that go too far down and add fresh noise: `sample_euler_ancestral` of k-diffusion.

    From noise level s to s' (both sigma_t / alpha_t): down to s'^2 / s = s' r, then up by s' sqrt(1 - r^2); r = s' / s.
    The start is that of `euler`. Arguments as `sample`; each example's noise comes from its own generator.

    Raises:
        ValueError: not one generator per example.
    """
    if len(rngs) != len(noise):
        raise ValueError(
            f"euler_ancestral got {len(rngs)} generators for {len(noise)} examples: expected one per example."
        )
    x = _start(noise, schedule, timesteps)
    levels = _finite_levels(schedule, timesteps)
    for t, ((alpha, sigma), (next_alpha, next_sigma)) in zip(timesteps, pairwise(levels), strict=True):
        clean, eps = denoise(x, t)
        if next_sigma == 0:
            return clean
        r = (next_sigma * alpha) / (next_alpha * sigma)
        fresh = per_sample_noise(rngs, x.shape[1:], device=x.device, dtype=x.dtype)
        x = next_alpha * clean + next_sigma * (r * eps + math.sqrt(1 - r * r) * fresh)
    return x


def dpmpp_2m(
    denoise: Denoise,
    noise: Tensor,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator] = (),
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al., arXiv 2211.01095, algorithm 2), first and last step of first order.

    With l = log(alpha_t / sigma_t) and h = l' - l: x' = (sigma'/sigma) x - alpha' (exp(-h) - 1) d, where d extrapolates
    the last two predictions of x_0. Deterministic; arguments as `sample`.
    """
    x = noise
    previous: Tensor | None = None
    previous_h = 0.0
    levels = _finite_levels(schedule, timesteps)
    for t, ((alpha, sigma), (next_alpha, next_sigma)) in zip(timesteps, pairwise(levels), strict=True):
        clean, _ = denoise(x, t)
        if next_sigma == 0:
            return clean
        h = math.log(next_alpha / next_sigma) - math.log(alpha / sigma)
        direction = clean if previous is None else clean + (0.5 * h / previous_h) * (clean - previous)
        x = (next_sigma / sigma) * x - (next_alpha * math.expm1(-h)) * direction
        previous, previous_h = clean, h
    return x


SAMPLERS: dict[str, Sampler] = {
    "ddim": ddim,
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "dpmpp_2m": dpmpp_2m,
}


def _levels(schedule: NoiseSchedule, timesteps: Sequence[float]) -> list[tuple[float, float]]:
    """(alpha, sigma) at each timestep, then (1, 0): the clean end."""
    squared = schedule.squared(timesteps).tolist()
    return [(math.sqrt(a), math.sqrt(1 - a)) for a in squared] + [(1.0, 0.0)]


def _finite_levels(schedule: NoiseSchedule, timesteps: Sequence[float]) -> list[tuple[float, float]]:
    """As `_levels`, with a finite noise level sigma / alpha where the signal is 0, for samplers that divide by alpha.

    The terminal alphas_cumprod is taken as 2^-24, as in diffusers; less where the timestep before it is that noisy.
    """
    levels = _levels(schedule, timesteps)
    if levels[0][0] == 0:
        squared = min(TERMINAL, 0.5 * float(schedule.alphas_cumprod[-2]))
        levels[0] = (math.sqrt(squared), math.sqrt(1 - squared))
    return levels


def _start(noise: Tensor, schedule: NoiseSchedule, timesteps: Sequence[float]) -> Tensor:
    """The noise at the amplitude of the first timestep: sigma_t eps."""
    return _levels(schedule, timesteps)[0][1] * noise
