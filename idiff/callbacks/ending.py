"""Why a training ended before its last step."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, Timer


def early_end(trainer: pl.Trainer) -> str | None:
    """What ended a fit before `trainer.max_steps`, or before `trainer.max_epochs` where steps are not bounded.

    Args:
        trainer: one whose fit is over.

    Returns:
        the reason in words; None: it came to its end.
    """
    steps, epochs = trainer.max_steps, trainer.max_epochs
    epochs_done = epochs is not None and 0 <= epochs <= trainer.current_epoch
    if 0 <= steps <= trainer.global_step or (steps < 0 and epochs_done):
        return None
    if not trainer.should_stop:
        return f"trainer.max_epochs is {epochs}" if epochs_done else "there are no batches to train on"
    for callback in getattr(trainer, "callbacks", []):
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None and left <= 0:
            return "the time of trainer.max_time is up"
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping on {callback.monitor}: {callback.stopping_reason_message.rstrip('.')}"
    return "a callback asked for it"
