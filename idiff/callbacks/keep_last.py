"""`last.ckpt`: saved every so many steps, at the end, and when the process is asked to stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from idiff.errors import ConfigError

EXIT_TERMINATED = 143


class KeepLast(pl.Callback):
    """Save `checkpoints/last.ckpt` under the run folder.

    On SIGTERM the optimizer step under way is finished and saved, and the process exits with 143; a second SIGTERM exits at once.

    Args:
        every_n_steps: optimizer steps between two saves.
    """

    def __init__(self, every_n_steps: int = 500) -> None:
        if every_n_steps < 1:
            raise ConfigError(f"last.every_n_steps is {every_n_steps}: expected 1 or more")
        self.every_n_steps = every_n_steps
        self.saved = -1
        self._seen = -1
        self.asked_to_stop = False
        self._handler_before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen for SIGTERM."""
        self.saved = self._seen = trainer.global_step
        self._handler_before = signal.getsignal(signal.SIGTERM)
        try:
            signal.signal(signal.SIGTERM, self._on_sigterm)
        except ValueError:  # not the main thread: nothing can be listened for there
            self._handler_before = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Save where a step is complete and a save is due."""
        step = trainer.global_step
        complete, self._seen = step != self._seen, step
        stop = trainer.strategy.reduce_boolean_decision(self.asked_to_stop, all=False)
        if complete and (stop or step % self.every_n_steps == 0):
            self._save(trainer)
        if complete and stop:
            raise SystemExit(EXIT_TERMINATED)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last step."""
        if trainer.global_step != self.saved:
            self._save(trainer)
        self._forget_handler()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stop listening. What was saved last stays the last: an exception may come from half a step."""
        self._forget_handler()

    def _save(self, trainer: pl.Trainer) -> None:
        self.saved = trainer.global_step
        if not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt")

    def _on_sigterm(self, number: int, frame: FrameType | None) -> None:
        if self.asked_to_stop:
            os._exit(EXIT_TERMINATED)
        self.asked_to_stop = True

    def _forget_handler(self) -> None:
        if self._handler_before is not None:
            signal.signal(signal.SIGTERM, self._handler_before)
            self._handler_before = None
