"""Progress as plain lines, where there is no terminal for a progress bar."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from idiff.checks import check_number


class ProgressLines(pl.Callback):
    """Print step, loss, speed and what is left, at most once in so many seconds.

    Args:
        every_seconds: least time between two lines.
    """

    def __init__(self, every_seconds: float = 30.0) -> None:
        check_number("every_seconds", every_seconds, least=0)
        self.every_seconds = every_seconds
        self._last = self._began = 0.0
        self._first = 0
        self._console = Console()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._last = self._began = time.perf_counter()
        self._first = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Print a line where one is due."""
        now = time.perf_counter()
        done = trainer.global_step - self._first
        if now - self._last < self.every_seconds or done < 1 or not trainer.is_global_zero:
            return
        self._last = now
        pace = (now - self._began) / done
        total = trainer.max_steps
        left = f", {(total - trainer.global_step) * pace / 60:.1f} min left" if total > 0 else ""
        of = f" of {total:,}" if total > 0 else ""
        loss = trainer.callback_metrics.get("train/loss")
        shown = "" if loss is None else f", loss {float(loss):.4f}"
        self._console.print(f"step {trainer.global_step:,}{of}{shown}, {pace:.2f} s a step{left}", highlight=False)
