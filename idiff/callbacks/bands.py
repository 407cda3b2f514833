"""The training loss by timestep: how well the model denoises much noise and little."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

BANDS = 4


class TimestepLoss(pl.Callback):
    """Log `train/loss_t/LOW-HIGH`, the mean loss of the rows whose timestep lies there, since the last log line.

    Only of stages whose `backbone` notes its rows (`LatentDiffusion.last_rows`).
    """

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._seen = -1

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Add the batch's rows; log where a log line is due."""
        backbone = getattr(pl_module, "backbone", None)
        noted = getattr(backbone, "last_rows", None)
        if noted is None or backbone is None:
            return
        timesteps, losses = noted
        count = int(backbone.schedule.num_train_timesteps)
        if self._sums is None:
            self._sums = torch.zeros(2, BANDS, device=losses.device)
        bands = (timesteps * BANDS // count).clamp(max=BANDS - 1)
        self._sums[0].index_add_(0, bands, losses.float())
        self._sums[1].index_add_(0, bands, torch.ones_like(losses, dtype=torch.float32))
        step, last = trainer.global_step, self._seen
        self._seen = step
        if step == last or step % max(1, getattr(trainer, "log_every_n_steps", 1)):
            return
        for band, (total, rows) in enumerate(self._sums.T.tolist()):
            if rows:
                low, high = band * count // BANDS, (band + 1) * count // BANDS - 1
                pl_module.log(f"train/loss_t/{low:03d}-{high:03d}", total / rows, batch_size=1)
        self._sums = None
