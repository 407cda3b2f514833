"""What the network is asked to predict, how its prediction is read, and how its error is weighted."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from idiff.diffusion.schedule import NoiseSchedule
from idiff.errors import ConfigError, unknown
from idiff.sampling import PredictionName

PREDICTION_TYPES: tuple[str, ...] = get_args(PredictionName)
"""The noise eps (Ho et al.), the velocity v (Salimans & Ho), the clean latent x_0; named as in diffusers."""


def check_prediction_type(prediction_type: str, schedule: NoiseSchedule) -> None:
    """Refuse a prediction type that is unknown or cannot work with the schedule.

    Raises:
        ConfigError: an unknown name; or `epsilon` at zero terminal SNR, where the noisy latent holds no signal and
            the noise says nothing about x_0 (Lin et al., arXiv 2305.08891, section 3.2).
    """
    if prediction_type not in PREDICTION_TYPES:
        raise unknown("prediction type", prediction_type, PREDICTION_TYPES)
    if prediction_type == "epsilon" and schedule.zero_terminal_snr:
        raise ConfigError(
            "prediction type 'epsilon' cannot be used with zero_terminal_snr=True: at the last timestep it says "
            "nothing about the image. Use 'v_prediction' or 'sample', or set zero_terminal_snr=False."
        )


def training_target(
    clean: Tensor, noise: Tensor, *, t: Tensor | float, schedule: NoiseSchedule, prediction_type: str
) -> Tensor:
    """What the network should predict for x_t = add_noise(clean, noise, t).

    Args:
        clean: x_0 (B, ...).
        noise: eps (B, ...).
        t: int64 (B,), or one timestep for all examples.
        schedule: the forward process.
        prediction_type: one of `PREDICTION_TYPES`.

    Returns:
        (B, ...).

    Raises:
        ConfigError: see `check_prediction_type`.
    """
    check_prediction_type(prediction_type, schedule)
    if prediction_type == "epsilon":
        return noise
    return clean if prediction_type == "sample" else schedule.velocity(clean, noise, t)


def to_clean_and_noise(
    prediction: Tensor, noisy: Tensor, *, t: Tensor | float, schedule: NoiseSchedule, prediction_type: str
) -> tuple[Tensor, Tensor]:
    """Solve x_t = alpha_t x_0 + sigma_t eps for (x_0, eps), given the prediction. Finite at zero terminal SNR.

    Args:
        prediction: the network's output (B, ...).
        noisy: x_t (B, ...).
        t: int64 (B,), or one timestep for all examples.
        schedule: the forward process.
        prediction_type: one of `PREDICTION_TYPES`.

    Returns:
        x_0 and eps, each (B, ...).

    Raises:
        ConfigError: see `check_prediction_type`.
    """
    check_prediction_type(prediction_type, schedule)
    alpha, sigma = schedule.coefficients(t, noisy)
    if prediction_type == "epsilon":
        return (noisy - sigma * prediction) / alpha, prediction
    if prediction_type == "sample":
        return prediction, (noisy - alpha * prediction) / sigma
    return alpha * noisy - sigma * prediction, alpha * prediction + sigma * noisy


def min_snr_weight(snr: Tensor, gamma: float, *, prediction_type: str) -> Tensor:
    """Min-SNR-gamma loss weight (Hang et al., arXiv 2303.09556), to be applied once.

    The weight on the error of x_0 is min(snr, gamma); stated for the error of v that is min(snr, gamma) / (snr + 1), of
    eps min(snr, gamma) / snr. At zero terminal SNR the last timestep therefore gets weight 0 and is not trained: do not
    combine this weight with one-step sampling.

    Args:
        snr: (B,), of `NoiseSchedule.snr`.
        gamma: larger than 0; the paper uses 5.
        prediction_type: one of `PREDICTION_TYPES`.

    Returns:
        (B,), at least 0.

    Raises:
        ConfigError: gamma is not positive, or the prediction type is unknown.
    """
    if gamma <= 0:
        raise ConfigError(f"min-SNR gamma is {gamma}: expected a number larger than 0 (the paper uses 5).")
    clipped = snr.clamp(max=gamma)
    if prediction_type == "sample":
        return clipped
    if prediction_type == "v_prediction":
        return clipped / (snr + 1)
    if prediction_type == "epsilon":
        return (gamma / snr).clamp(max=1)
    raise unknown("prediction type", prediction_type, PREDICTION_TYPES)


def changed_cells(source: Tensor, target: Tensor, *, cells: tuple[int, int], threshold: float) -> Tensor:
    """Latent cells in which the target image differs from the source in at least one pixel.

    Args:
        source: (B, 3, H, W) in [-1, 1].
        target: (B, 3, H, W) in [-1, 1].
        cells: (h, w), size of the latent.
        threshold: largest absolute difference of a channel that counts as equal, in [0, 2].

    Returns:
        bool (B, 1, h, w).
    """
    difference = (target - source).abs().amax(dim=1, keepdim=True)
    return F.adaptive_max_pool2d(difference, cells) > threshold


def cell_weights(changed: Tensor, *, weight: float) -> Tensor:
    """Loss weights of latent cells: `weight` where the target differs from the source, 1 elsewhere.

    Args:
        changed: bool (B, 1, h, w), of `changed_cells`.
        weight: larger than 0.

    Returns:
        float32 (B, 1, h, w).

    Raises:
        ConfigError: weight is not positive.
    """
    if weight <= 0:
        raise ConfigError(
            f"weight of changed cells is {weight}: expected a number larger than 0 (1 is not a weighting)."
        )
    return torch.where(changed, weight, 1.0)


def weighted_errors(
    prediction: Tensor, target: Tensor, *, weight_map: Tensor | None = None, sample_weight: Tensor | None = None
) -> Tensor:
    """Squared error of each example with weights on cells and on examples, in float32; the loss is their mean.

    An example's error is the weighted mean over its cells, sum(w d^2) / sum(w): a constant map changes nothing, and any map
    keeps the loss' scale. Row weights are factors (as min-SNR is defined), not normalised over the batch, so an example's
    share does not depend on the examples it is batched with. Without weights the mean is the plain mean squared error.

    Args:
        prediction: (B, C, h, w).
        target: (B, C, h, w).
        weight_map: (B, 1, h, w), larger than 0.
        sample_weight: (B,), at least 0.

    Returns:
        float32 (B,).
    """
    squared = (prediction.float() - target.float()).square().mean(dim=1, keepdim=True)
    if weight_map is None:
        rows = squared.flatten(1).mean(dim=1)
    else:
        rows = (weight_map * squared).flatten(1).sum(dim=1) / weight_map.flatten(1).sum(dim=1)
    return rows if sample_weight is None else sample_weight * rows
