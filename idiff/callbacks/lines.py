"""Progress as plain lines, where there is no terminal for a progress bar."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from idiff.callbacks.pace import Pace, total_steps
from idiff.checks import check_number


class ProgressLines(pl.Callback):
    """Print step, loss, speed and what is left, at most once in so many seconds.

    The speed is that of training alone; what is left has the validations that are to come.

    Args:
        every_seconds: least time between two lines.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        check_number("every_seconds", every_seconds, least=0)
        self.every_seconds = every_seconds
        self.pace = Pace()
        self._last = 0.0
        self._console = Console()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._last = time.perf_counter()
        self.pace.begin(trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self.pace.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on."""
        self.pace.resume(first=trainer.sanity_checking)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Print a line where one is due."""
        now = time.perf_counter()
        pace = self.pace.seconds_a_step(trainer.global_step)
        if now - self._last < self.every_seconds or pace is None or not trainer.is_global_zero:
            return
        self._last = now
        total, seconds = total_steps(trainer), self.pace.seconds_left(trainer)
        left = "" if seconds is None else f", {seconds / 60:.1f} min left"
        of = "" if total is None else f" of {total:,}"
        loss = trainer.callback_metrics.get("train/loss")
        shown = "" if loss is None else f", loss {float(loss):.4f}"
        self._console.print(f"step {trainer.global_step:,}{of}{shown}, {pace:.2f} s a step{left}", highlight=False)
