"""Stage 2: train the backbone on triplets of all tasks (InstructDiffusion, section 3.3)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from idiff.errors import CheckpointError
from idiff.models.backbone import LatentDiffusion
from idiff.models.checkpoints import hand_over, load
from idiff.stages.base import Stage
from idiff.types import Batch, Sampling


class TaskTraining(Stage):
    """Train a latent diffusion model to paint what words ask for.

    Args:
        backbone: the model.
        init_from: a checkpoint whose averaged weights training starts from, with a fresh optimizer and step 0. Attention blocks
            that it lacks start silent; every other weight must be there.
        sampling: how pictures are sampled where a task does not say.
        max_rows: rows sampled at a time in validation and prediction, to bound memory.
        **optim: see `Stage`.
    """

    def __init__(
        self,
        *,
        backbone: LatentDiffusion,
        init_from: str | None = None,
        sampling: Sampling | None = None,
        max_rows: int = 64,
        **optim: Any,
    ) -> None:
        super().__init__(**optim)
        self.backbone = backbone
        self.sampling = sampling or Sampling()
        self.max_rows = max_rows
        if init_from is not None:
            source = load(init_from)
            backbone.report += [
                *hand_over(backbone, source.backbone.state_dict(), origin=init_from),
                f"{init_from} had taken {source.step} steps",
            ]

    def describe(self) -> dict[str, Any]:
        """The backbone's description."""
        return {"backbone": self.backbone.describe()}

    def frozen(self) -> tuple[str, ...]:
        """The autoencoder, and a text encoder that is not trained."""
        text = () if self.backbone.text.reference is None else ("backbone.text.",)
        return ("backbone.autoencoder.", *text)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that the frozen parts are those the checkpoint was trained with, too.

        Raises:
            CheckpointError: the checkpoint is of another model or of another autoencoder or text encoder.
        """
        super().on_load_checkpoint(checkpoint)
        there, here = checkpoint["backbone"], self.backbone.describe()
        parts = {"autoencoder": (here["autoencoder"], there["autoencoder"])}
        if "weights" in there["text"]:
            parts["text encoder"] = (here["text"]["weights"], there["text"]["weights"])
        for name, (got, wanted) in parts.items():
            if got["sha256"] != wanted["sha256"]:
                raise CheckpointError(
                    f"the {name} at {got['path']} is not the one this checkpoint was trained with (SHA-256 "
                    f"{got['sha256'][:12]}, expected {wanted['sha256'][:12]}, from {wanted['path']}). Put that one back."
                )

    def on_fit_start(self) -> None:
        """Say what was loaded and what is new."""
        for line in self.backbone.report:
            self.print(line)

    def loss(self, batch: Batch, *, train: bool) -> Tensor:
        """See `LatentDiffusion.loss`; conditions are dropped in training only."""
        loss = self.backbone.loss(batch, seed=self.seed, dropout=train)
        if train and self.backbone.recognition is not None and math.isfinite(self.backbone.recognition.accuracy):
            self.log("train/named", self.backbone.recognition.accuracy, batch_size=len(batch))
        return loss

    def render(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) as the autoencoder renders them."""
        return self.backbone.autoencoder.render(pictures)

    def evaluations(self, sampling: Sampling | None) -> int:
        """U-Net samples a query costs."""
        return self.backbone.evaluations(sampling or self.sampling)

    def paint(self, batch: Batch) -> Tensor:
        """Sample the batch's pictures, (B, 3, H, W) in [-1, 1]; noise depends on each row's position alone."""
        sampling = batch.sampling or self.sampling
        parts = []
        for start in range(0, len(batch), self.max_rows):
            rows = slice(start, start + self.max_rows)
            source = None if batch.source is None else batch.source[rows]
            seeds = batch.position[rows].tolist()
            parts.append(self.backbone.edit(source, batch.instruction[rows], sampling=sampling, seeds=seeds))
        return torch.cat(parts)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Painted pictures (B, 3, H, W); the evaluate callback reads and scores them. Logs the loss under fixed noise."""
        loss = self.loss(batch, train=False)
        self.log(f"val/{batch.task[0]}/loss", loss, batch_size=len(batch), add_dataloader_idx=False, sync_dist=True)
        return self.paint(batch)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """As `validation_step`."""
        return self.validation_step(batch, batch_idx, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Painted pictures (B, 3, H, W)."""
        return self.paint(batch)
