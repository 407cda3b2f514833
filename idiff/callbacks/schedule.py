"""A fit's validations at step 0 and at its end, which the trainer's own schedule leaves out."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl


def validate_at_end(trainer: pl.Trainer) -> None:
    """Let a fit validate after its last step, whatever `val_check_interval` and `check_val_every_n_epoch` say.

    The last step is `max_steps`, the last one of `max_epochs`, or the one after which a callback or `max_time` ends the fit.

    Args:
        trainer: one whose fit has not begun.
    """
    loop = trainer.fit_loop.epoch_loop
    due = loop._should_check_val_fx

    def due_or_last(data_fetcher: Any) -> bool:
        return due(data_fetcher) or (trainer.enable_validation and _is_last(trainer))

    loop._should_check_val_fx = due_or_last  # type: ignore[method-assign]  # the loop has no setting for this


def validate_now(trainer: pl.Trainer) -> None:
    """Validate as the training loop does between two steps."""
    if trainer.enable_validation:
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True


def log_own_figures(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Log what the stage itself logged in the validation at step 0: Lightning keeps it from loggers and callbacks there.

    Every rank must call it.
    """
    found = trainer._results
    figures = {
        each.meta.name: float(each.compute()) for each in (found.result_metrics if found else []) if each.meta.on_epoch
    }
    for name, value in figures.items():
        module.log(name, value, logger=False)
    for logger in trainer.loggers:
        logger.log_metrics(figures, step=trainer.global_step)


def _is_last(trainer: pl.Trainer) -> bool:
    """Whether the batch just trained on is the last of the fit."""
    fit, epochs = trainer.fit_loop, trainer.max_epochs
    if 0 <= trainer.max_steps <= trainer.global_step or (trainer.should_stop and fit._can_stop_early):
        return True
    progress = fit.epoch_loop.batch_progress
    over = progress.current.ready > 0 and (
        progress.is_last_batch or progress.current.ready >= trainer.num_training_batches
    )
    return over and epochs is not None and 0 <= epochs <= trainer.current_epoch + 1
