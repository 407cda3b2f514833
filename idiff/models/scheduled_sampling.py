"""Scheduled sampling: training sees noisy latents that the model itself made, as sampling in several steps does."""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.diffusion import NoiseSchedule
from idiff.models.denoising import Predict


@torch.no_grad()
def from_own_prediction(
    predict: Predict,
    noisy: Tensor,
    noise: Tensor,
    t: Tensor,
    states: Tensor,
    condition: Tensor | None,
    rows: Tensor,
    *,
    schedule: NoiseSchedule,
) -> Tensor:
    """Replace noisy latents by what DDIM reaches from the last timestep in one step, with the same noise.

    Without it a model learns to trust the answer that shines through a noisy latent, which in sampling is its own first answer.
    Source: Deng et al., arXiv 2210.05147, section 3.2, with a single step from the last timestep.

    Args:
        predict: the network, which predicts clean latents.
        noisy: (B, C, h, w), the target's latents at `t`.
        noise: (B, C, h, w), that they hold.
        t: int64 (B,).
        states: (B, L, D), text states.
        condition: (B, C, h, w), source latents; None: there is none.
        rows: bool (B,), which examples are replaced; those at the last timestep never are.
        schedule: the forward process; its last timestep is taken as noise alone, as sampling does.

    Returns:
        (B, C, h, w).
    """
    last = schedule.num_train_timesteps - 1
    chosen = (rows & (t < last)).nonzero()[:, 0]
    if not len(chosen):
        return noisy
    source = None if condition is None else condition[chosen]
    clean = predict(noise[chosen], torch.full_like(chosen, last), states[chosen], source)
    return noisy.index_copy(0, chosen, schedule.add_noise(clean.to(noisy), noise[chosen], t[chosen]))
