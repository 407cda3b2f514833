"""The peer of queries: diffusers' StableDiffusionInstructPix2PixPipeline around the same weights, one call a prompt."""

from __future__ import annotations

import copy
import logging

import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline
from PIL import Image
from torch import Tensor

from idiff.models.backbone import LatentDiffusion
from idiff.types import Picture

PUBLISHED = (7.5, 1.5)
"""Scales of text and image, the pipeline's defaults."""

NEARLY_OFF = (1.001, 1.0)
"""The weakest guidance that still evaluates three branches a step."""


class PeerPipeline:
    """A pipeline of diffusers that paints one prompt into one image, 3 evaluations a step.

    The pipeline knows no U-Net whose output is added to the source (`residual`): a hook adds it, so that the weights paint what
    they learned to. The scheduler is the one of the pipelines that predict clean latents.

    Args:
        backbone: whose networks are copied, in the layout in which diffusers loads them.
    """

    def __init__(self, backbone: LatentDiffusion) -> None:
        vae, text, unet = (
            copy.deepcopy(net).to(memory_format=torch.contiguous_format).eval()
            for net in (backbone.autoencoder.net, backbone.text.net, backbone.unet)
        )
        schedule, objective = backbone.schedule, backbone.objective
        scheduler = DDIMScheduler(
            num_train_timesteps=schedule.num_train_timesteps, beta_start=schedule.beta_start, beta_end=schedule.beta_end,
            beta_schedule="scaled_linear", prediction_type=objective.prediction, clip_sample=False,
            rescale_betas_zero_snr=objective.zero_terminal_snr, timestep_spacing=objective.spacing,
        )  # fmt: skip
        if objective.residual:
            channels, scale = backbone.autoencoder.channels, backbone.autoencoder.scale
            unet.register_forward_hook(lambda _, args, output: (output[0] + scale * args[0][:, channels:],))
        logging.getLogger("diffusers").setLevel(logging.ERROR)
        self.pipe = StableDiffusionInstructPix2PixPipeline(
            vae=vae, text_encoder=text, tokenizer=backbone.text.tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        self.pipe.set_progress_bar_config(disable=True)

    def __call__(
        self, picture: Picture, prompt: str, *, steps: int = 100, guidance: tuple[float, float] = PUBLISHED
    ) -> Tensor:
        """Paint a prompt into an image (H, W, 3); returns (1, 3, H, W) in [-1, 1]."""
        found = self.pipe(
            prompt, image=Image.fromarray(picture), num_inference_steps=steps, guidance_scale=guidance[0],
            image_guidance_scale=guidance[1], generator=torch.Generator().manual_seed(0), output_type="pt",
        )  # fmt: skip
        images: Tensor = found.images
        return images * 2 - 1
