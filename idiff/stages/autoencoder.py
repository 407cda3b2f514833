"""Train the autoencoder on source and painted images alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from idiff.checks import check_number
from idiff.models.autoencoder import Autoencoder
from idiff.stages.base import Stage
from idiff.types import Batch, Painted
from idiff.utils.seeds import torch_rng

CHANGED = 1e-3
"""Difference of a channel, on the scale [-1, 1], from which a pixel counts as painted."""


class AutoencoderTraining(Stage):
    """Train a small variational autoencoder (AutoencoderKL; Rombach et al., arXiv 2112.10752, section 3.1, without the adversary).

    The loss is mean absolute error + mean squared error, painted pixels weighted more, + error of horizontal and vertical
    differences (edges carry the answers) + `kl_weight` times the KL divergence a latent value. At the end of `fit` the autoencoder
    lies in `<run folder>/autoencoder`, diffusers' format, with the scaling factor measured on the last batches.

    Args:
        autoencoder: built from a config, or with weights where training goes on from another run's.
        kl_weight: weight of the KL divergence.
        painted_weight: weight of pixels that were painted: their colors carry the answers and are few.
        decoder_only: leave the encoder as it is: latents keep their meaning, so that models trained on them stay valid.
        **optim: see `Stage`.
    """

    def __init__(
        self,
        *,
        autoencoder: Autoencoder,
        kl_weight: float = 1e-4,
        painted_weight: float = 4.0,
        decoder_only: bool = False,
        **optim: Any,
    ) -> None:
        super().__init__(**optim)
        check_number("kl_weight", kl_weight, least=0)
        check_number("painted_weight", painted_weight, least=0)
        self.autoencoder = autoencoder
        self.kl_weight, self.painted_weight = kl_weight, painted_weight
        self.spread: list[float] = []
        self.decoder_only = decoder_only
        if decoder_only:
            for part in (autoencoder.net.encoder, autoencoder.net.quant_conv):
                part.requires_grad_(False)

    def describe(self) -> dict[str, object]:
        """The latest latent spreads, for the scaling factor."""
        return {"spread": list(self.spread)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the spreads back."""
        super().on_load_checkpoint(checkpoint)
        self.spread = list(checkpoint.get("spread", []))

    def loss(self, batch: Batch, *, train: bool) -> Tensor:
        """Reconstruction and KL loss of the batch's images, each fourth example's source and the others' target."""
        pictures, weight = batch.target, torch.ones(())
        if batch.source is not None:
            plain = (batch.position % 4 == 0)[:, None, None, None]
            pictures = torch.where(plain, batch.source, batch.target)
            painted = (pictures - batch.source).abs().amax(dim=1, keepdim=True) > CHANGED
            weight = 1 + (self.painted_weight - 1) * painted.to(pictures)
        mean, std = self.autoencoder.moments(pictures)
        rngs = [torch_rng(self.seed, "noise", int(position)) for position in batch.position]
        noise = torch.stack([torch.randn(mean.shape[1:], generator=rng) for rng in rngs]).to(mean)
        decoded = self.autoencoder.net.decode(mean + std * noise if train else mean).sample
        difference = decoded - pictures
        error = (weight * (difference.abs() + difference.square())).mean() / weight.mean()
        edges = F.l1_loss(decoded.diff(dim=-1), pictures.diff(dim=-1)) + F.l1_loss(
            decoded.diff(dim=-2), pictures.diff(dim=-2)
        )
        divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.log()).mean()
        if train:
            self.spread = [*self.spread[-63:], float(mean.detach().std())]
        total: Tensor = error + edges + self.kl_weight * divergence
        return total

    def render(self, pictures: Tensor) -> Tensor:
        """Images (B, 3, H, W) as the autoencoder renders them."""
        return self.autoencoder.render(pictures)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Painted:  # type: ignore[override]  # Lightning passes it on
        """Log the PSNR of target images in dB; return them as rendered, so that what is scored is the ceiling of the tasks."""
        rendered = self.render(batch.target)
        error = (rendered - batch.target).square().mean(dim=(1, 2, 3)) / 4
        psnr = -10 * error.clamp_min(1e-10).log10().mean()
        name = f"{self.split}/{batch.task[0]}/psnr"
        self.log(
            name, psnr, batch_size=self.rows_of_all(batch), add_dataloader_idx=False, prog_bar=True, sync_dist=True
        )
        return Painted(rendered, rendered if batch.source is None else self.render(batch.source))

    def on_fit_end(self) -> None:
        """Write the autoencoder with its measured scaling factor."""
        if not self.trainer.is_global_zero or getattr(self.trainer, "fast_dev_run", False) or not self.spread:
            return
        self.take_average()
        scale = self.autoencoder.scale if self.decoder_only else 1 / (sum(self.spread) / len(self.spread))
        self.autoencoder.net.register_to_config(scaling_factor=scale)
        folder = Path(self.trainer.default_root_dir) / "autoencoder"
        self.autoencoder.net.save_pretrained(folder)
        self.print(f"autoencoder written to {folder}, scaling factor {scale:.4f}")
