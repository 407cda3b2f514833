"""`best.ckpt`: the checkpoint with the highest validation score."""

from __future__ import annotations

from lightning.pytorch.callbacks import ModelCheckpoint


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the checkpoint with the highest `val/score`, with averaged weights.

    Args:
        monitor: the logged value that decides.
        mode: `max` or `min`.
    """

    def __init__(self, monitor: str = "val/score", mode: str = "max") -> None:
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False, save_last=False
        )
