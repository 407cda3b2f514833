"""`best.ckpt`: the checkpoint with the highest validation score."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from idiff.checks import check_choice

Mode = Literal["max", "min"]
SCORE = "val/score"


class BestCheckpoint(ModelCheckpoint):
    """`best.ckpt`: the checkpoint with the highest `val/score`, with averaged weights. None where the stage is not scored.

    It lies in `checkpoints/` of the run folder, whatever the logger. A run that goes on reads the score to beat from the one
    that is there, so a folder may be moved or named another way in between; one that cannot be read is replaced.

    Args:
        monitor: the logged value that decides.
        mode: `max` or `min`.
    """

    def __init__(self, monitor: str = SCORE, mode: Mode = "max") -> None:
        check_choice("best.mode", mode, Mode)
        super().__init__(
            filename="best", monitor=monitor, mode=mode, save_top_k=1, enable_version_counter=False, save_last=False
        )

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the folder, and the score of the `best.ckpt` in it."""
        self.dirpath = str(Path(trainer.default_root_dir) / "checkpoints")
        super().setup(trainer, pl_module, stage)
        path = Path(self.dirpath) / "best.ckpt"
        score = self._score_of(path)
        if stage == "fit" and score is not None:
            self.best_model_score = self.kth_value = score
            self.best_model_path = self.kth_best_model_path = str(path)
            self.best_k_models = {str(path): score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: `setup` has read the score from `best.ckpt` itself. The checkpoint that a run goes on from may be older."""

    def _save_topk_checkpoint(self, trainer: pl.Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        if self.monitor != SCORE or SCORE in monitor_candidates:
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def _score_of(self, path: Path) -> torch.Tensor | None:
        """The score in a checkpoint by the same monitor and mode; None where there is none."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            score = content["callbacks"][self.state_key]["best_model_score"]
        except Exception:  # a damaged or foreign file raises errors of any kind
            return None
        return score if isinstance(score, torch.Tensor) else None
