"""How long a fit still takes: the pace of training alone, and the validations that are to come."""

from __future__ import annotations

import math
import time

import lightning.pytorch as pl


class Pace:
    """A clock of a fit that times training and validation apart.

    Attributes:
        paused: seconds of validations since training began.
    """

    def __init__(self) -> None:
        self.paused = 0.0
        self._began = self._first_seconds = 0.0
        self._first = self._validations = 0
        self._pause: float | None = None

    def begin(self, step: int) -> None:
        """Training begins at this step."""
        self._began, self._first, self.paused, self._validations = time.perf_counter(), step, 0.0, 0

    def pause(self) -> None:
        """A validation begins."""
        self._pause = time.perf_counter()

    def resume(self, *, first: bool = False) -> None:
        """A validation is over; `first`: it was that before training began."""
        if self._pause is None:
            return
        seconds, self._pause = time.perf_counter() - self._pause, None
        if first:
            self._first_seconds = seconds
        else:
            self.paused += seconds
            self._validations += 1

    def seconds_a_step(self, step: int) -> float | None:
        """Seconds of training an optimizer step took; None before the first."""
        done = step - self._first
        return (time.perf_counter() - self._began - self.paused) / done if done > 0 and self._began else None

    def seconds_left(self, trainer: pl.Trainer) -> float | None:
        """Seconds until the last step is done and validated; None where the end or the pace is not known."""
        step, total = trainer.global_step, total_steps(trainer)
        pace = self.seconds_a_step(step)
        if total is None or pace is None:
            return None
        each = self.paused / self._validations if self._validations else self._first_seconds
        return (total - step) * pace + validations_left(trainer, total) * each


def steps_an_epoch(trainer: pl.Trainer) -> float:
    """Optimizer steps of an epoch; infinite where it is not known."""
    return (
        math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
        if math.isfinite(trainer.num_training_batches)
        else math.inf
    )


def total_steps(trainer: pl.Trainer) -> int | None:
    """The step a fit ends with, by `max_steps` and `max_epochs`; None where neither says."""
    epochs = trainer.max_epochs
    by_epochs = epochs * steps_an_epoch(trainer) if epochs is not None and epochs >= 0 else math.inf
    total = min(trainer.max_steps if trainer.max_steps >= 0 else math.inf, by_epochs)
    return int(total) if math.isfinite(total) else None


def validations_left(trainer: pl.Trainer, total: int) -> int:
    """Validations that are to come until a step, with the one at the end."""
    if not trainer.enable_validation:
        return 0
    batches = float(trainer.val_check_batch or math.inf)
    interval = batches / trainer.accumulate_grad_batches
    if trainer.check_val_every_n_epoch is not None and batches >= trainer.num_training_batches:
        interval = steps_an_epoch(trainer) * trainer.check_val_every_n_epoch
    if not math.isfinite(interval) or interval <= 0:
        return int(trainer.global_step < total)
    done = min(trainer.global_step, total)
    return math.floor(total / interval) - math.floor(done / interval) + int(total % interval > 0 and done < total)
