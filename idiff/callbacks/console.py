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
    """Lightning's bar; of a training that is bounded by its steps it does not name a last epoch."""

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
