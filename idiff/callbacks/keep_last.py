"""`last.ckpt`: saved every so many steps, at the end, and when the process is asked to stop."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from idiff.callbacks.ending import early_end
from idiff.checks import check_number
from idiff.utils.signals import TERMINATED, StopRequest


class KeepLast(pl.Callback):
    """Save `checkpoints/last.ckpt` under the run folder.

    On SIGTERM and on Ctrl-C the optimizer step under way is finished and saved, and the process exits with 143 or 130; a second
    signal ends it at once. A training that ends early for another reason says which.

    Args:
        every_n_steps: optimizer steps between two saves.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        check_number("last.every_n_steps", every_n_steps, least=1, whole=True)
        self.every_n_steps = every_n_steps
        self.saved = -1
        self._seen = -1
        self.stop_request = StopRequest(signal.SIGTERM, signal.SIGINT)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for signals."""
        self.saved = self._seen = trainer.global_step
        if trainer.is_global_zero:
            self.stop_request.said = "stopping after this step, which is saved; a second signal ends at once"
        self.stop_request.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save where a step is complete and a save is due."""
        step = trainer.global_step
        complete, self._seen = step != self._seen, step
        stop = trainer.strategy.reduce_boolean_decision(self.stop_request.code is not None, all=False)
        if complete and (stop or step % self.every_n_steps == 0):
            self._save(trainer)
        if complete and stop:
            raise SystemExit(self.stop_request.code or TERMINATED)  # another rank may have been asked

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last step."""
        if trainer.global_step != self.saved:
            self._save(trainer)
        self.stop_request.stop()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say why the training ended, where it was early."""
        why = early_end(trainer)
        if why is not None and getattr(trainer, "is_global_zero", True):
            of = f" of {trainer.max_steps:,}" if trainer.max_steps > 0 else ""
            sys.stderr.write(f"idiff: training ends at step {trainer.global_step:,}{of}: {why}\n")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop listening. What was saved last stays the last: an exception may come from half a step."""
        self.stop_request.stop()

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved = trainer.global_step
        if not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt")
