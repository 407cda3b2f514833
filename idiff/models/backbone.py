"""The backbone every stage shares: autoencoder, text encoder, U-Net, and how they are trained and sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from idiff.diffusion import (
    NoiseSchedule,
    cell_weights,
    changed_cells,
    check_prediction_type,
    draw_dropout,
    draw_share,
    draw_timesteps,
    min_snr_weight,
    per_sample_noise,
    training_target,
    weighted_errors,
)
from idiff.errors import ConfigError
from idiff.models.attention import quick_on_cpu
from idiff.models.autoencoder import Autoencoder, once_each
from idiff.models.auxiliary_loss import AuxiliaryLoss
from idiff.models.denoising import Denoiser, OnStep, Sampled, sample_rows
from idiff.models.network import in_float, in_type_of
from idiff.models.objective import Objective
from idiff.models.outline import left_out
from idiff.models.scheduled_sampling import from_own_prediction
from idiff.models.text import TextEncoder
from idiff.models.unet import CONV_IN, build_unet
from idiff.sampling import Sampling
from idiff.types import Batch, LatentBatch
from idiff.utils.seeds import torch_rng
from idiff.utils.settings import FREE, WEIGHTS

PRETRAINED = "pretrained"
"""Stands for the U-Net of the model that `pretrained` names."""

CHANGED = 1e-3
"""Difference of a channel, on the scale [-1, 1], from which a pixel counts as painted."""


class LatentDiffusion(nn.Module):
    """A latent diffusion model that edits a source image as a prompt asks, or paints one from words alone.

    With a source the U-Net sees the noisy latent and the unscaled source latent, 2C channels in (InstructPix2Pix, section 3.2);
    without one (`with_source=False`) it sees C channels: plain text-to-image.

    Args:
        autoencoder: trained; kept frozen here. None: that of `pretrained`.
        text: trained with the U-Net where it was built from a config, frozen where it has weights. None: that of `pretrained`.
        unet: arguments of `diffusers.UNet2DConditionModel`; channels and context width are filled in.
        unet_weights: folder of a U-Net to start from; null: a new one. A text-to-image U-Net is widened with zeros where the model
            takes a source. With `unet` beside it, which then overrides the loaded config, attention and residual blocks are
            added that start silent.
        objective: what is trained, and how it is sampled.
        with_source: whether there is a source image.
        sample_seed: seed of every image that `edit` samples.
        gradient_checkpointing: compute the U-Net's blocks again on the way back: less memory, about a third more time.
        pretrained: folder or name of a model whose autoencoder, text encoder and U-Net are used where none is given.

    Raises:
        ConfigError: the autoencoder was never trained, or neither `unet` nor `unet_weights` is given.
    """

    def __init__(
        self,
        *,
        autoencoder: Autoencoder | None = None,
        text: TextEncoder | None = None,
        unet: dict[str, Any] | None = None,
        unet_weights: Annotated[str | None, WEIGHTS] = PRETRAINED,
        objective: Objective | None = None,
        with_source: bool = True,
        sample_seed: int = 0,
        gradient_checkpointing: Annotated[bool, FREE] = False,
        pretrained: Annotated[str | None, FREE, WEIGHTS] = None,
    ) -> None:
        super().__init__()
        autoencoder = Autoencoder(weights=pretrained) if autoencoder is None else autoencoder
        text = TextEncoder(weights=pretrained) if text is None else text
        unet_weights = pretrained if unet_weights == PRETRAINED else unet_weights
        if autoencoder.reference is None:
            raise ConfigError(
                "the autoencoder has no weights: a latent diffusion model needs a trained one. Set model.backbone.pretrained to a "
                "model, or model.backbone.autoencoder.weights to a folder (configs/experiment/base_autoencoder.yaml trains one)."
            )
        self.objective = objective or Objective()
        self.with_source, self.sample_seed = with_source, sample_seed
        self.on_step: OnStep | None = None  # called before each step of sampling; what it raises ends it
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        self.text = text
        if text.reference is not None:
            text.requires_grad_(False).eval()
        self.unet, self.provenance = build_unet(
            unet,
            weights=unet_weights,
            latent_channels=autoencoder.channels,
            context=text.width,
            with_source=with_source,
        )
        fresh = unet_weights is None or (with_source and CONV_IN in self.provenance.changed)
        if self.objective.residual and with_source and fresh:
            nn.init.zeros_(self.unet.conv_out.weight)
            nn.init.zeros_(self.unet.conv_out.bias)
            self.provenance.start_as_copy()
        self.report = self.provenance.said
        if gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.recognition: AuxiliaryLoss | None = None
        self.last_rows: tuple[Tensor, Tensor] | None = None  # of the last loss: timesteps (B,), and float32 (B,) losses
        if self.objective.auxiliary_loss_weight > 0:
            self.recognition = AuxiliaryLoss(self.unet, width=text.width)
        if not left_out():
            super().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # convolutions run a fifth to a third faster so
        self.schedule = NoiseSchedule(zero_terminal_snr=self.objective.zero_terminal_snr)
        check_prediction_type(self.objective.prediction, self.schedule)

    def train(self, mode: bool = True) -> LatentDiffusion:
        """Set training mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        self.autoencoder.eval()
        if self.text.reference is not None:
            self.text.eval()
        return self

    def describe(self) -> dict[str, Any]:
        """Plain values that `idiff.models.io.checkpoint.build` makes this model of again; frozen parts by path and SHA-256."""
        return {
            "autoencoder": self.autoencoder.reference,
            "text": self.text.describe(),
            "unet": {k: v for k, v in dict(self.unet.config).items() if not k.startswith("_")},
            "objective": asdict(self.objective),
            "with_source": self.with_source,
        }

    def loss(
        self, batch: Batch | LatentBatch, *, seed: int, dropout: bool = True, source_latent: Tensor | None = None
    ) -> Tensor:
        """Training loss of a batch: weighted mean squared error of what the U-Net predicts.

        Timestep, condition dropout, posterior sample and noise of an example come from one generator, seeded by its position: they
        do not depend on the batch it stands in.

        Args:
            batch: images, or what a latent cache holds of them; with `source` if and only if the model takes one.
            seed: seed of the run.
            dropout: drop conditions as the objective says; False in validation.
            source_latent: (B, C, h, w), what `autoencoder.encode_source` made of the sources, where that is known.

        Raises:
            ConfigError: a batch with a source where the model takes none, or the reverse; a cache of other weights.
        """
        if (batch.source is not None) != self.with_source:
            have, want = ("no source", "one") if batch.source is None else ("a source", "none")
            raise ConfigError(f"the batch has {have}, this model takes {want}: set with_source to fit the data")
        objective = self.objective
        rngs = [torch_rng(seed, "noise", int(position)) for position in batch.position]
        t = draw_timesteps(rngs, self.schedule.num_train_timesteps, terminal_share=objective.terminal_share)
        drop_text, drop_image = draw_dropout(
            rngs, text=objective.dropout_text, image=objective.dropout_image, both=objective.dropout_both
        )
        if not dropout:
            drop_text, drop_image = torch.zeros_like(drop_text), torch.zeros_like(drop_image)
        with torch.no_grad():
            latent, source, changed = self._latents(batch, rngs, source_latent)
            condition = None if source is None else source * (~drop_image).to(latent)[:, None, None, None]
        t, noise = t.to(latent.device), per_sample_noise(rngs, latent.shape[1:]).to(latent)
        noisy, states = self.schedule.add_noise(latent, noise, t), self._states(batch, drop_text)
        own = draw_share(rngs, objective.scheduled_sampling).to(t.device)
        noisy = from_own_prediction(self.predict, noisy, noise, t, states, condition, own, schedule=self.schedule)
        prediction = self.predict(noisy, t, states, condition)
        target = training_target(latent, noise, t=t, schedule=self.schedule, prediction_type=objective.prediction)
        gamma, kind = objective.min_snr_gamma, objective.prediction
        row_weight = None if gamma is None else min_snr_weight(self.schedule.snr(t), gamma, prediction_type=kind)
        cell_weight = None if changed is None else cell_weights(changed, weight=objective.changed_weight)
        rows = weighted_errors(prediction, target, weight_map=cell_weight, sample_weight=row_weight)
        self.last_rows, error = (t, rows.detach()), rows.mean()
        if self.recognition is not None and self.training:
            error = error + objective.auxiliary_loss_weight * self.recognition.loss(batch.parts, self.text.pooled)
        return error

    def _latents(
        self, batch: Batch | LatentBatch, rngs: Sequence[torch.Generator], known: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Scaled target latent, source latent, and which cells differ where they weigh more; encoded here or beforehand."""
        weighs = self.objective.changed_weight != 1
        if isinstance(batch, LatentBatch):
            self._check_weights(batch.made_by)
            latent = self.autoencoder.posterior_sample(batch.mean.float(), batch.std.float(), rngs)
            source = None if batch.source is None else batch.source.float()
            return latent, source, batch.changed if weighs else None
        latent = self.autoencoder.encode_target(batch.target, rngs)
        if batch.source is None:
            return latent, None, None
        cells = (latent.shape[2], latent.shape[3])
        changed = changed_cells(batch.source, batch.target, cells=cells, threshold=CHANGED) if weighs else None
        return latent, self.autoencoder.encode_source(batch.source) if known is None else known, changed

    def _check_weights(self, made_by: tuple[str, str]) -> None:
        """Refuse a latent cache of other weights, by SHA-256 of autoencoder and text encoder."""
        references = (self.autoencoder.reference, self.text.reference)
        own = tuple("trained" if each is None else each["sha256"] for each in references)
        if own != made_by:
            raise ConfigError(
                "the latent cache was made with another autoencoder or text encoder than this model has (SHA-256 "
                f"{', '.join(each[:12] for each in made_by)}, expected {', '.join(each[:12] for each in own)}). Make it again."
            )

    def _states(self, batch: Batch | LatentBatch, dropped: Tensor) -> Tensor:
        """Hidden states (B, L, D) of the prompts; the empty prompt's where the text is dropped, bool (B,)."""
        if isinstance(batch, LatentBatch):
            return batch.states.float()[batch.prompt.masked_fill(dropped.to(batch.prompt.device), 0)]
        prompts = ["" if drop else prompt for prompt, drop in zip(batch.instruction, dropped.tolist(), strict=True)]
        states: Tensor = self.text(prompts)
        return states

    def predict(self, noisy: Tensor, t: Tensor, states: Tensor, condition: Tensor | None) -> Tensor:
        """One U-Net evaluation: (B, C, h, w) latents, (B,) timesteps, (B, 77, D) text states, (B, C, h, w) source latents."""
        given = in_type_of(self.unet, noisy if condition is None else torch.cat([noisy, condition], dim=1))
        told = in_type_of(self.unet, states)
        with quick_on_cpu(given, recomputed=self.unet.is_gradient_checkpointing):
            output = in_float(self.unet, self.unet(given, t, encoder_hidden_states=told).sample)
        if condition is None or not self.objective.residual:
            return output
        return output + self.autoencoder.scale * condition

    @torch.no_grad()
    def edit(
        self,
        source: Tensor | None,
        instruction: Sequence[str],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        side: int = 64,
    ) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1]; see `edit_counted`."""
        return self.edit_counted(source, instruction, sampling=sampling, seeds=seeds, side=side).pictures

    @torch.no_grad()
    def edit_counted(
        self,
        source: Tensor | None,
        instruction: Sequence[str],
        *,
        sampling: Sampling,
        seeds: Sequence[int],
        side: int = 64,
        latent: Tensor | None = None,
    ) -> Sampled:
        """Sample the images that the prompts ask for, and say what that cost.

        Many queries of one image share its encoding where their examples follow one another; a frozen text encoder keeps prompts.

        Args:
            source: (B, 3, H, W) in [-1, 1]; None for text-to-image.
            instruction: B prompts.
            sampling: steps, guidance, sampler. All branches of guidance run in one U-Net batch.
            seeds: B numbers; an example's image depends on its own number alone.
            side: side of the image in pixels where there is no source.
            latent: (B, C, h, w), `autoencoder.encode_source` of the sources, where that is known: it takes their place.

        Returns:
            images (B, 3, H, W) in [-1, 1], evaluations of each example, and how much the first step changed.
        """
        parts = self.objective.branches(sampling)
        if latent is None and source is not None:
            latent = once_each(self.autoencoder.encode_source, source)
        states = self.text.states([*instruction, ""])
        denoiser = Denoiser(
            self.predict,
            states=states[:-1],
            empty=states[-1:],
            source=latent,
            scale=self.autoencoder.scale,
            parts=parts,
            weights=[part.weight for part in parts],
            schedule=self.schedule,
            prediction=self.objective.prediction,
            stop=sampling.stop_unchanged,
            on_step=self.on_step,
        )
        cells = side // self.autoencoder.factor
        shape = (self.autoencoder.channels, cells, cells) if latent is None else tuple(latent.shape[1:])
        rngs = [torch_rng(self.sample_seed, "sample", int(seed)) for seed in seeds]
        timesteps = self.schedule.timesteps(sampling.steps, spacing=self.objective.spacing)
        noise = per_sample_noise(rngs, shape).to(states)
        found = sample_rows(denoiser, sampler=sampling.sampler, noise=noise, timesteps=timesteps, rngs=rngs)
        found.pictures = self.autoencoder.decode(found.pictures)
        return found

    def evaluations(self, sampling: Sampling) -> int:
        """U-Net samples that a query costs where it takes every step: steps times branches of guidance."""
        return sampling.steps * len(self.objective.branches(sampling))
