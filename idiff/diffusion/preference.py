"""Diffusion-DPO: learn from which of two images people chose (Wallace et al., arXiv 2311.12908, equation 14)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def implicit_reward(error: Tensor, reference: Tensor, *, beta: float) -> Tensor:
    """How much better the model denoises an image than the frozen reference does: -beta (error - reference).

    Up to a constant of the prompt, this is the reward that preference training maximises without a reward model.

    Args:
        error: (B,), the model's squared error of each example.
        reference: (B,), the reference's, under the same noise and timestep.
        beta: larger than 0; stands for beta T omega(lambda_t) of equation 14 in units of these errors. Where they are means over
            the elements of a latent, the authors' published setting of 5000, which their code halves, is 2500.

    Returns:
        (B,).
    """
    return -beta * (error - reference)


def preference_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Equation 14: -log sigmoid of the margin between the rewards of the chosen and the rejected image.

    Args:
        chosen: (B,), of `implicit_reward`.
        rejected: (B,), under the chosen image's noise and timestep.

    Returns:
        scalar; log 2 where model and reference are the same.
    """
    return -F.logsigmoid(chosen - rejected).mean()


def preference_accuracy(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Share of examples, in [0, 1], whose chosen image has the larger reward; a tie counts half. Arguments as `preference_loss`."""
    margin = chosen - rejected
    return ((margin > 0).float() + 0.5 * (margin == 0).float()).mean()
