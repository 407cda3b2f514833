"""`best.ckpt`: the checkpoint with the highest validation score."""

from __future__ import annotations

from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from idiff.checks import check_choice

Mode = Literal["max", "min"]
SCORE = "val/score"


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the checkpoint with the highest `val/score`, with averaged weights. None where the stage is not scored.

    Args:
        monitor: the logged value that decides.
        mode: `max` or `min`.
    """

    def __init__(self, monitor: str = SCORE, mode: Mode = "max") -> None:
        check_choice("best.mode", mode, Mode)
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False, save_last=False
        )

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        if self.monitor != SCORE or SCORE in monitor_candidates:
            super()._save_topk_checkpoint(trainer, monitor_candidates)
