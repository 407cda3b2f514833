"""What a training shows in a terminal: a progress bar and the size of the model, or plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.callbacks import ModelSummary, ProgressBar, RichModelSummary, RichProgressBar
from lightning.pytorch.utilities.model_summary.model_summary import get_human_readable_count
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from idiff.callbacks.lines import ProgressLines
from idiff.utils.settings import as_list


class EpochBar(RichProgressBar):
    """Lightning's bar; of a training that is bounded by its steps it names no last epoch, and ends with the last step's batch."""

    @property
    def total_train_batches(self) -> int | float:
        """The batches of the epoch, or up to the last step; a step has `accumulate_grad_batches` of them."""
        return self._total(0)

    def _initialize_train_progress_bar_id(self) -> None:
        """The bar of an epoch that goes on where a run was cut."""
        done = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        total, told = self._total(done), self._get_train_description(self.trainer.current_epoch)
        self.train_progress_bar_id = self._add_task(total, told)

    def _total(self, done: int) -> int | float:
        trainer = self.trainer
        batches, each = trainer.num_training_batches, trainer.accumulate_grad_batches
        if trainer.max_epochs != -1 or trainer.max_steps <= 0:
            return batches
        return min(batches, done - done % each + (trainer.max_steps - trainer.global_step) * each)

    def _get_train_description(self, current_epoch: int) -> str:
        bounded = (self.trainer.max_epochs or -1) > 0
        said = super()._get_train_description(current_epoch) if bounded else f"Epoch {current_epoch}"
        return f"{said:{len(self.validation_description)}}"


class SizeSummary(RichModelSummary):
    """Lightning's table of the model's parts, without the operations, which are not counted here."""

    @staticmethod
    def summarize(
        summary_data: list[tuple[str, list[str]]], total_parameters: int, trainable_parameters: int, *_: Any, **__: Any
    ) -> None:
        """Print it. See `RichModelSummary`."""
        columns = [(name, cells) for name, cells in summary_data if name in {"Name", "Type", "Params"}]
        count, total = (get_human_readable_count(number) for number in (trainable_parameters, total_parameters))
        table = Table(
            box=SIMPLE_HEAD, caption=f"{count.strip()} of {total.strip()} parameters are trained", pad_edge=False
        )
        for name, _cells in columns:
            table.add_column(name.lower(), justify="right" if name == "Params" else "left", no_wrap=True)
        for row in zip(*(cells for _name, cells in columns), strict=True):
            table.add_row(*row)
        Console().print(table)


def shown(settings: Mapping[str, Any], *, terminal: bool) -> dict[str, Any]:
    """Arguments of the trainer that decide what it shows, where the settings leave that open.

    Args:
        settings: of the trainer.
        terminal: whether somebody looks.
    """
    callbacks = as_list(settings.get("callbacks"))
    bar = settings.get("enable_progress_bar")
    more: dict[str, Any] = {}
    if bar is None and not terminal:
        more["enable_progress_bar"] = bar = False
        callbacks.append(ProgressLines())
    if bar is not False and not any(isinstance(each, ProgressBar) for each in callbacks):
        callbacks.append(EpochBar())
    if settings.get("enable_model_summary") is not False and not any(
        isinstance(each, ModelSummary) for each in callbacks
    ):
        callbacks.append(SizeSummary())
    return more | {"callbacks": callbacks}
