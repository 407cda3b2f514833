"""Diffusion as maths on tensors: noise schedule, training objective, random draws, guidance, samplers. Torch only."""

from idiff.diffusion.draws import draw_dropout, draw_share, draw_timesteps, per_sample_noise
from idiff.diffusion.guidance import GUIDANCE_RULES, Branch, branches, combine
from idiff.diffusion.prediction import (
    PREDICTION_TYPES,
    cell_weights,
    changed_cells,
    check_prediction_type,
    min_snr_weight,
    to_clean_and_noise,
    training_target,
    weighted_errors,
)
from idiff.diffusion.samplers import SAMPLERS, Denoise, Sampler, sample
from idiff.diffusion.schedule import SPACINGS, NoiseSchedule

__all__ = [
    "GUIDANCE_RULES",
    "PREDICTION_TYPES",
    "SAMPLERS",
    "SPACINGS",
    "Branch",
    "Denoise",
    "NoiseSchedule",
    "Sampler",
    "branches",
    "cell_weights",
    "changed_cells",
    "check_prediction_type",
    "combine",
    "draw_dropout",
    "draw_share",
    "draw_timesteps",
    "min_snr_weight",
    "per_sample_noise",
    "sample",
    "to_clean_and_noise",
    "training_target",
    "weighted_errors",
]
