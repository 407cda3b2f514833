"""Sample latents under guidance: all examples and all branches in one U-Net batch; examples that change nothing may end early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from idiff.diffusion import Branch, NoiseSchedule, combine, sample, to_clean_and_noise

Predict = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""(noisy (N, C, h, w), timesteps (N,), text states (N, L, D), source latents (N, C, h, w) or None) -> (N, C, h, w)."""

OnStep = Callable[[], None]
"""Called before each step of a sampler; what it raises ends the sampling."""


@dataclass(slots=True)
class Sampled:
    """What was sampled, and what it cost.

    Attributes:
        pictures: (B, C, h, w) scaled latents, or (B, 3, H, W) in [-1, 1] once decoded.
        evaluations: U-Net samples that each of the B examples took.
        change: (B,) how much the first step wanted to change, see `changes`; None without a source.
    """

    pictures: Tensor
    evaluations: list[int]
    change: Tensor | None = None


def changes(clean: Tensor, source: Tensor) -> Tensor:
    """How far a predicted latent is from the source's: the largest root mean square over the channels of 3 x 3 cells.

    The largest and not the mean over the image, because an object may be small; 3 x 3 cells and not one, because a single cell
    may be off by chance.

    Args:
        clean: (B, C, h, w), predicted x_0, scaled.
        source: (B, C, h, w), the source's latent, scaled.

    Returns:
        (B,), in units of the scaled latent, whose values have about unit variance.
    """
    squares = (clean - source).square().mean(dim=1, keepdim=True)
    around = F.avg_pool2d(squares, 3, stride=1, padding=1, count_include_pad=False)
    return around.flatten(1).amax(dim=1).sqrt()


class Denoiser:
    """The guided network as samplers call it. Counts what every example costs, and ends examples that change nothing.

    Where `stop` is given, the first call decides: an example whose predicted latent differs from the source's by less
    (`changes`) is finished, the network does not see it again, and its answer is that first prediction: what one step alone
    would have painted.

    Args:
        predict: the network.
        states: (B, L, D), text states of the examples.
        empty: (1, L, D), those of the empty prompt.
        source: (B, C, h, w), unscaled latents of the source images; None for text-to-image.
        scale: factor from them to the latents that are sampled.
        parts: the branches of guidance.
        weights: of the branches: numbers, or one number per example, (B, 1, 1, 1).
        schedule: the forward process.
        prediction: what the network predicts.
        stop: threshold, in units of the scaled latent; None: every example takes every step.
        on_step: called before each call of the network; None: nothing is.

    Raises:
        ConfigError: the threshold is not a positive number.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        states: Tensor,
        empty: Tensor,
        source: Tensor | None,
        scale: float,
        parts: Sequence[Branch],
        weights: Sequence[float | Tensor],
        schedule: NoiseSchedule,
        prediction: str,
        stop: float | None = None,
        on_step: OnStep | None = None,
    ) -> None:
        self.on_step = on_step
        self.predict, self.schedule, self.prediction = predict, schedule, prediction
        self.states, self.empty, self.source, self.scale = states, empty, source, scale
        self.parts, self.weights, self.stop = parts, weights, stop
        self.evaluations = [0] * len(states)
        self.change: Tensor | None = None
        self._first: tuple[Tensor, Tensor] | None = None
        self._active: Tensor | None = None  # places of the examples that go on; None: all
        self._context, self._condition = self._conditions(states, source)

    def __call__(self, noisy: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """Predicted x_0 and eps, each (B, C, h, w), of noisy latents (B, C, h, w) at timestep t."""
        if self.on_step is not None:
            self.on_step()
        if self._active is None:
            clean, eps = self._denoise(noisy, t, self.weights)
            self._count(range(len(noisy)))
            if self.change is None and self.source is not None:
                self.change = changes(clean, self.scale * self.source)
                self._finish(clean, eps)
            return clean, eps
        assert self._first is not None
        clean, eps = self._first[0].clone(), self._first[1].clone()
        if len(self._active):
            rows = self._active
            weights = [weight[rows] if isinstance(weight, Tensor) else weight for weight in self.weights]
            clean[rows], eps[rows] = self._denoise(noisy[rows], t, weights)
            self._count(rows.tolist())
        return clean, eps

    def _denoise(self, noisy: Tensor, t: float, weights: Sequence[float | Tensor]) -> tuple[Tensor, Tensor]:
        count = len(self.parts)
        kind = torch.long if isinstance(t, int) else torch.float32
        steps = torch.full((len(noisy) * count,), t, device=noisy.device, dtype=kind)
        predicted = self.predict(noisy.repeat(count, 1, 1, 1), steps, self._context, self._condition)
        guided = combine(predicted, weights)
        return to_clean_and_noise(guided, noisy, t=t, schedule=self.schedule, prediction_type=self.prediction)

    def _finish(self, clean: Tensor, eps: Tensor) -> None:
        """Choose the examples that go on."""
        if self.stop is None or self.source is None or self.change is None:
            return
        active = (self.change >= self.stop).nonzero()[:, 0]
        if len(active) < len(clean):
            self._active, self._first = active, (clean, eps)
            self._context, self._condition = self._conditions(self.states[active], self.source[active])

    def _conditions(self, states: Tensor, source: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Text states and source latents of all branches of some examples."""
        empty = self.empty.expand(len(states), -1, -1)
        context = torch.cat([states if part.use_text else empty for part in self.parts])
        if source is None:
            return context, None
        return context, torch.cat([source if part.use_image else torch.zeros_like(source) for part in self.parts])

    def _count(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.evaluations[row] += len(self.parts)


def sample_rows(
    denoiser: Denoiser,
    *,
    sampler: str,
    noise: Tensor,
    timesteps: Sequence[float],
    rngs: Sequence[torch.Generator],
) -> Sampled:
    """Run a sampler over examples; arguments as `idiff.diffusion.sample`. Returns scaled latents."""
    latents = sample(
        sampler, denoiser, noise=noise, schedule=denoiser.schedule, timesteps=timesteps, rngs=rngs
    )  # each sampler ends at the last predicted x_0, which is the first one where an example ended early
    return Sampled(latents, denoiser.evaluations, denoiser.change)
