"""The frozen parts of a model on their own: what a latent cache is made with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from idiff.diffusion import changed_cells
from idiff.errors import CheckpointError
from idiff.models.backbone import CHANGED, LatentDiffusion


class FrozenEncoder:
    """Autoencoder and text encoder of a model. Takes and gives tensors on the CPU.

    Args:
        backbone: whose text encoder is frozen.
        device: where to encode.

    Attributes:
        autoencoder, text: SHA-256 of the weights.

    Raises:
        CheckpointError: the text encoder is trained with the U-Net, so that its states change with every step.
    """

    def __init__(self, backbone: LatentDiffusion, *, device: str = "cpu") -> None:
        if backbone.text.reference is None or backbone.autoencoder.reference is None:
            raise CheckpointError(
                "the model's text encoder is trained with its U-Net: its states cannot be cached. Use a model that was built "
                "with text.weights."
            )
        self.device = device
        self._autoencoder, self._text = backbone.autoencoder.to(device), backbone.text.to(device)
        self.autoencoder = backbone.autoencoder.reference["sha256"]
        self.text = backbone.text.reference["sha256"]

    @torch.no_grad()
    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation (B, C, h, w), unscaled, of images (B, 3, H, W) in [-1, 1]."""
        mean, std = self._autoencoder.moments(pixels.to(self.device))
        return mean.cpu(), std.cpu()

    def changed(self, source: Tensor, target: Tensor) -> Tensor:
        """Latent cells in which two images (B, 3, H, W) differ: bool (B, 1, h, w)."""
        factor = self._autoencoder.factor
        cells = (source.shape[2] // factor, source.shape[3] // factor)
        return changed_cells(source, target, cells=cells, threshold=CHANGED)

    @torch.no_grad()
    def states(self, prompts: Sequence[str]) -> Tensor:
        """Hidden states (B, L, D) of prompts."""
        states: Tensor = self._text(prompts)
        return states.cpu()
