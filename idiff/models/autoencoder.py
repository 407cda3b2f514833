"""The autoencoder: images to latents and back. A thin wrapper over diffusers' AutoencoderKL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from idiff.diffusion import per_sample_noise
from idiff.errors import CheckpointError
from idiff.models.io.folders import folder_sha256, subfolder
from idiff.models.network import build_network, in_float, in_type_of, load_network
from idiff.utils.settings import WEIGHTS


class Autoencoder(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] to latents (B, C, H / f, W / f) and back.

    The target latent is `scale` times a posterior sample; the source latent is the posterior mode, **not** scaled, as
    InstructPix2Pix (arXiv 2211.09800) has it; official weights and diffusers' pipeline both need it so.

    Args:
        config: arguments of `diffusers.AutoencoderKL`, for an autoencoder that is to be trained.
        weights: folder in diffusers' format (a pipeline's folder with `vae/` inside, or the autoencoder's own).
            Just one of the two is given.

    Raises:
        CheckpointError: neither or both are given, or the folder holds no autoencoder.
    """

    def __init__(self, *, config: dict[str, Any] | None = None, weights: Annotated[str | None, WEIGHTS] = None) -> None:
        super().__init__()
        if (config is None) == (weights is None):
            raise CheckpointError(
                "an autoencoder needs either config (to train one) or weights (a folder with a trained one): got "
                + ("neither. Train one, as in configs/experiment/base_autoencoder.yaml." if config is None else "both.")
            )
        self.reference: dict[str, str] | None = None
        if weights is not None:
            folder = subfolder(weights, "vae")
            self.net = load_network(AutoencoderKL, folder, part="autoencoder", low_cpu_mem_usage=False)
            self.reference = {"path": str(Path(weights)), "sha256": folder_sha256(folder)}
        else:
            self.net = build_network(AutoencoderKL, config or {}, part="autoencoder")

    @property
    def scale(self) -> float:
        """Factor that brings target latents to about unit variance (0.18215 for Stable Diffusion 1.5)."""
        return float(self.net.config.scaling_factor)

    @property
    def channels(self) -> int:
        """Latent channels C."""
        return int(self.net.config.latent_channels)

    @property
    def factor(self) -> int:
        """Pixels a latent cell covers along a side."""
        return int(2 ** (len(self.net.config.block_out_channels) - 1))

    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the posterior, each (B, C, H / f, W / f), unscaled."""
        posterior = self.net.encode(in_type_of(self.net, pixels)).latent_dist
        return in_float(self.net, posterior.mean), in_float(self.net, posterior.std)

    def encode_source(self, pixels: Tensor) -> Tensor:
        """Posterior mode, unscaled: the condition of the U-Net."""
        return self.moments(pixels)[0]

    def encode_target(self, pixels: Tensor, rngs: Sequence[torch.Generator] | None = None) -> Tensor:
        """Scaled posterior sample: what the diffusion model learns to paint.

        Args:
            pixels: (B, 3, H, W) in [-1, 1].
            rngs: one CPU generator per example; None takes the mode.
        """
        mean, std = self.moments(pixels)
        return self.scale * mean if rngs is None else self.posterior_sample(mean, std, rngs)

    def posterior_sample(self, mean: Tensor, std: Tensor, rngs: Sequence[torch.Generator]) -> Tensor:
        """Scaled sample of posteriors (B, C, h, w), each example with the noise of its own CPU generator."""
        noise = per_sample_noise(rngs, mean.shape[1:]).to(mean)
        return self.scale * (mean + std * noise)

    def decode(self, latent: Tensor) -> Tensor:
        """Scaled latents to images (B, 3, H, W), clamped to [-1, 1]."""
        pictures = self.net.decode(in_type_of(self.net, latent / self.scale)).sample
        return in_float(self.net, pictures).clamp(-1, 1)

    def render(self, pixels: Tensor) -> Tensor:
        """Images as the autoencoder renders them: mode, then decode."""
        return self.decode(self.scale * self.moments(pixels)[0])


def once_each(
    encode: Callable[[Tensor], Tensor], images: Tensor, *, index: Tensor | None = None, most: int | None = None
) -> Tensor:
    """Encode images; of those that follow one another and are the same, such as the source of several queries, only the first.

    Args:
        encode: (S, 3, H, W) -> (S, ...), each image on its own.
        images: (B, 3, H, W).
        index: int64 (B,), equal where neighbours are the same image (`Batch.image_index`); None: pixels are compared.
        most: images encoded at a time, to bound memory; None: all at once.

    Returns:
        (B, ...), as `encode(images)` up to rounding.
    """
    known = images if index is None else index[:, None]
    new = torch.ones(len(images), dtype=torch.bool, device=images.device)
    new[1:] = (known[1:] != known[:-1]).flatten(1).any(dim=1)
    shared = not bool(new.all())
    distinct = images[new] if shared else images
    found = torch.cat([encode(some) for some in torch.split(distinct, most or len(distinct))])
    return found[new.cumsum(0) - 1] if shared else found
