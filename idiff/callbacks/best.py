"""`best.ckpt`: the checkpoint with the highest validation score."""

from __future__ import annotations

from typing import Literal

from lightning.pytorch.callbacks import ModelCheckpoint

from idiff.checks import check_choice

Mode = Literal["max", "min"]


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the checkpoint with the highest `val/score`, with averaged weights.

    Args:
        monitor: the logged value that decides.
        mode: `max` or `min`.
    """

    def __init__(self, monitor: str = "val/score", mode: Mode = "max") -> None:
        check_choice("best.mode", mode, Mode)
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False, save_last=False
        )
