"""The forward process: how much signal and noise a latent holds at each timestep, and which timesteps a sampler visits.

Notation: x_t = alpha_t x_0 + sigma_t eps with alpha_t^2 + sigma_t^2 = 1 and alpha_t^2 = `alphas_cumprod[t]`.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from idiff.errors import ConfigError, unknown
from idiff.sampling import SpacingName

SPACINGS: tuple[str, ...] = get_args(SpacingName)
"""How the visited timesteps are spread (Lin et al., arXiv 2305.08891, table 2)."""

TERMINAL = 2.0**-24
"""alpha_t^2 of a last timestep without signal, where a finite noise level is needed; as in diffusers."""


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """The "scaled linear" schedule of Stable Diffusion: betas = linspace(sqrt(beta_start), sqrt(beta_end), T)^2.

    Two schedules are equal when their settings are. A schedule can be pickled and holds no random state.

    Attributes:
        zero_terminal_snr: rescale so that the last timestep is pure noise (Lin et al., arXiv 2305.08891, algorithm 1).
            Needed for one-step sampling; excludes noise prediction.
        num_train_timesteps: T, the number of timesteps; 2 or more.
        beta_start: first beta.
        beta_end: last beta.
        alphas_cumprod: float32 (T,) in [0, 1], falling; computed in float64.

    Raises:
        ConfigError: the settings do not give a falling schedule.
    """

    zero_terminal_snr: bool = False
    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    alphas_cumprod: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.num_train_timesteps < 2 or not 0 < self.beta_start <= self.beta_end < 1:
            raise ConfigError(
                f"noise schedule with num_train_timesteps={self.num_train_timesteps}, beta_start={self.beta_start}, "
                f"beta_end={self.beta_end}: expected at least 2 timesteps and 0 < beta_start <= beta_end < 1."
            )
        roots = torch.linspace(
            self.beta_start**0.5, self.beta_end**0.5, self.num_train_timesteps, dtype=torch.float64, device="cpu"
        )
        alpha = (1 - roots**2).cumprod(0).sqrt()
        if self.zero_terminal_snr:
            alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        object.__setattr__(self, "alphas_cumprod", (alpha**2).float())

    def to(self, device: torch.device | str) -> NoiseSchedule:
        """The same schedule with its table on a device. Not required, but saves a copy at each call."""
        moved = copy.copy(self)
        object.__setattr__(moved, "alphas_cumprod", self.alphas_cumprod.to(device))
        return moved

    def squared(self, t: Sequence[float] | Tensor) -> Tensor:
        """alpha_t^2 at any timesteps, also between two of the table: float64, on the CPU.

        Between two timesteps the logarithm of the noise level sigma_t / alpha_t is interpolated linearly, as k-diffusion's
        `DiscreteSchedule` does. A last timestep without signal (zero terminal SNR) counts as 2^-24 there, as in diffusers.

        Args:
            t: timesteps in [0, T - 1].
        """
        place = torch.as_tensor(t, dtype=torch.float64, device="cpu")
        table = self.alphas_cumprod.double().cpu()
        low, high = place.floor().long(), place.ceil().long()
        odds = -torch.logit(table.clamp_min(TERMINAL))  # of noise to signal: log (sigma / alpha)^2
        between = torch.sigmoid(-torch.lerp(odds[low], odds[high], place - low))
        return torch.where(low == high, table[low], between)

    def coefficients(self, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Signal and noise amplitudes alpha_t and sigma_t, shaped to multiply `like`.

        Args:
            t: (B,) or one timestep for all examples, in [0, T - 1]; between two timesteps see `squared`.
            like: (B, ...), gives number of dimensions, device and dtype.

        Returns:
            two tensors (B, 1, ...) or (1, 1, ...).
        """
        place = torch.as_tensor(t)
        if place.is_floating_point():
            squared = self.squared(place).float().to(like.device)
        else:
            squared = self.alphas_cumprod.to(like.device)[place.to(like.device)]
        squared = squared.reshape(-1, *[1] * (like.ndim - 1))
        return squared.sqrt().to(like.dtype), (1 - squared).sqrt().to(like.dtype)

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor | float) -> Tensor:
        """Noisy latents x_t = alpha_t x_0 + sigma_t eps (Ho et al., arXiv 2006.11239, equation 4).

        Args:
            clean: (B, ...).
            noise: standard normal (B, ...).
            t: int64 (B,), or one timestep for all examples.
        """
        alpha, sigma = self.coefficients(t, clean)
        return alpha * clean + sigma * noise

    def velocity(self, clean: Tensor, noise: Tensor, t: Tensor | float) -> Tensor:
        """The velocity alpha_t eps - sigma_t x_0 (Salimans & Ho, arXiv 2202.00512). Arguments as `add_noise`."""
        alpha, sigma = self.coefficients(t, clean)
        return alpha * noise - sigma * clean

    def snr(self, t: Tensor) -> Tensor:
        """Signal-to-noise ratio alpha_t^2 / sigma_t^2, float32, of the shape of t; 0 at a zero-SNR last timestep."""
        squared = self.alphas_cumprod.to(t.device)[t]
        return squared / (1 - squared)

    def timesteps(self, steps: int, *, spacing: str = "trailing") -> list[float]:
        """The timesteps a sampler visits, from noisy to clean (Lin et al., arXiv 2305.08891, table 2).

        `trailing` starts at T - 1 for any number of steps, so one step starts from pure noise; `leading` ends at 0 and
        starts below T - 1 (one step is the useless [0]; here for comparison with systems that use it); `linspace` has
        both ends (one step: T - 1) and even distances, so that timesteps may lie between two of the table, as k-diffusion and
        the released InstructDiffusion have it.

        Args:
            steps: how many, 1 to T.
            spacing: one of `SPACINGS`.

        Returns:
            `steps` numbers in [0, T - 1], strictly falling; whole ones are `int`, which all are but for `linspace`.

        Raises:
            ConfigError: steps out of range, or an unknown spacing.
        """
        total = self.num_train_timesteps
        if not 1 <= steps <= total:
            raise ConfigError(f"{steps} sampling steps: expected 1 to {total}, the timesteps of the noise schedule.")
        if spacing == "trailing":
            return [round(total - i * total / steps) - 1 for i in range(steps)]
        if spacing == "leading":
            return [i * (total // steps) for i in reversed(range(steps))]
        if spacing == "linspace":
            last = max(steps - 1, 1)
            places = [(total - 1) * (last - i) / last for i in range(steps)]
            return [int(place) if place.is_integer() else place for place in places]
        raise unknown("timestep spacing", spacing, SPACINGS)
