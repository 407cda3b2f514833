"""The peer of training: the loop that diffusers' InstructPix2Pix example describes, around the same networks.

Each step encodes the target (sampled and scaled) and the source (mode, unscaled), encodes the captions, drops conditions, adds
noise at a random timestep, predicts it from the concatenated latents, and takes the mean squared error. AdamW, clipped gradients
and diffusers' EMAModel follow, with the example's defaults. With bfloat16 the frozen networks are cast and the U-Net runs under
autocast, as accelerate's `mixed_precision: bf16` has it.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.nn import functional as F

from idiff.models.backbone import LatentDiffusion

DROPOUT = 0.05
"""Share of examples without caption, without source, and without both: the example's `--conditioning_dropout_prob`."""


class PeerTraining:
    """The loop, one step a call.

    Args:
        backbone: whose networks are copied, in the layout in which diffusers loads them.
        bfloat16: mixed precision.
        lr: of AdamW.
        base: whether the loop predicts what the networks were trained to predict, on their noise schedule, as one sets it for a
            base of another kind than the example's; else noise, on that of Stable Diffusion 1.5.
    """

    def __init__(
        self, backbone: LatentDiffusion, *, bfloat16: bool = False, lr: float = 1e-4, base: bool = False
    ) -> None:
        self.kind = torch.bfloat16 if bfloat16 else torch.float32
        plain = {"memory_format": torch.contiguous_format}
        self.vae, self.text, self.unet = (
            copy.deepcopy(net).to(**plain) for net in (backbone.autoencoder.net, backbone.text.net, backbone.unet)
        )
        for frozen in (self.vae, self.text):
            frozen.requires_grad_(False).to(self.kind)
        self.unet.requires_grad_(True).train()
        self.tokenizer = backbone.text.tokenizer
        schedule, own = backbone.schedule, backbone.objective
        settings = {"prediction_type": own.prediction, "rescale_betas_zero_snr": own.zero_terminal_snr} if base else {}
        self.scheduler = DDPMScheduler(
            beta_start=schedule.beta_start, beta_end=schedule.beta_end, beta_schedule="scaled_linear",
            num_train_timesteps=schedule.num_train_timesteps, **settings,
        )  # fmt: skip
        self.optimizer = torch.optim.AdamW(
            self.unet.parameters(), lr=lr, betas=(0.9, 0.999), weight_decay=1e-2, eps=1e-8
        )
        self.rate = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda _: 1.0)
        self.ema = EMAModel(self.unet.parameters(), model_cls=UNet2DConditionModel, model_config=self.unet.config)
        self.empty = self._tokens([""])

    def step(self, source: Tensor, target: Tensor, captions: Sequence[str]) -> Tensor:
        """Train on images (B, 3, H, W) in [-1, 1] and their captions; returns the loss."""
        latents = self.vae.encode(target.to(self.kind)).latent_dist.sample() * self.vae.config.scaling_factor
        noise = torch.randn_like(latents)
        t = torch.randint(0, self.scheduler.config.num_train_timesteps, (len(latents),))
        noisy = self.scheduler.add_noise(latents, noise, t)
        states = self.text(self._tokens(captions))[0]
        condition = self.vae.encode(source.to(self.kind)).latent_dist.mode()
        drawn = torch.rand(len(latents))
        nothing = self.text(self.empty)[0]
        states = torch.where((drawn < 2 * DROPOUT)[:, None, None], nothing, states)
        kept = 1 - ((drawn >= DROPOUT) & (drawn < 3 * DROPOUT)).to(condition.dtype)
        inputs = torch.cat([noisy, kept[:, None, None, None] * condition], dim=1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.kind == torch.bfloat16):
            predicted = self.unet(inputs, t, states, return_dict=False)[0]
            wanted = latents if self.scheduler.config.prediction_type == "sample" else noise
            loss = F.mse_loss(predicted.float(), wanted.float(), reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self.rate.step()
        self.optimizer.zero_grad()
        self.ema.step(self.unet.parameters())
        return loss.detach()

    def _tokens(self, captions: Sequence[str]) -> Tensor:
        length = self.tokenizer.model_max_length
        found: Tensor = self.tokenizer(
            list(captions), max_length=length, padding="max_length", truncation=True, return_tensors="pt"
        ).input_ids
        return found
