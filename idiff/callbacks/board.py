"""What a run draws in TensorBoard besides the scalars that are logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from idiff.callbacks.examples import Examples
from idiff.callbacks.scoring import Score
from idiff.types import Picture

LONGEST = 100_000
"""Characters of a text."""

BOUNDS = ("ceiling", "identity", "baseline")
"""Attributes of a score that are drawn as level lines under `val_bounds/<task>/<metric>/`."""


class RunBoard(TensorBoardLogger):
    """TensorBoard straight in the run folder, without charts of epochs.

    Args:
        folder: the run folder.
        purge_step: the first step that is drawn again; None: none.
    """

    def __init__(self, folder: str | Path, *, purge_step: int | None = None) -> None:
        super().__init__(str(folder), name="", version="", default_hp_metric=False, purge_step=purge_step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Draw scalars; Lightning adds the epoch to them, which says nothing beside the step."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


def draw_validation(
    logger: TensorBoardLogger, results: Mapping[str, Score], examples: Mapping[str, Examples],
    pictures: Mapping[str, Picture], *, step: int,
) -> None:  # fmt: skip
    """Draw ceiling and floors beside each metric, the images with their sentences, and the sentences as text."""
    board = logger.experiment
    charts = {}
    for name, score in results.items():
        for metric in score.metrics:
            tags = [f"val/{name}/{metric}"]
            for title in BOUNDS:
                value = getattr(score, title).get(metric)
                if value is not None and value == value:  # noqa: PLR0124 (nan)
                    tags.append(f"val_bounds/{name}/{metric}/{title}")
                    board.add_scalar(tags[-1], value, step)
            charts[f"{name}: {metric}"] = ["Multiline", [_exactly(tag) for tag in tags]]
    board.add_custom_scalars({
        "metrics beside ceiling and floors": charts,
        "training": {
            "loss": ["Multiline", [_exactly("train/loss")]],
            "loss by timestep": ["Multiline", ["^train/loss_t/"]],
        },
    })  # fmt: skip
    for name, picture in pictures.items():
        board.add_image(f"val/{name}", picture, step, dataformats="HWC")
    for name, kept in examples.items():
        if kept.shown:
            rows = [f"| {_cell(each.key)} | {_cell(each.sentence)} |" for each in kept.shown]
            board.add_text(f"sentences/{name}", "\n".join(["| key | sentence |", "|---|---|", *rows]), step)


def draw_settings(logger: TensorBoardLogger, *, command: str, config: str, step: int) -> None:
    """Show the command and the composed configuration as text."""
    for name, text in {"command": command, "config": config}.items():
        if text:
            indented = "\n".join(f"    {line}" for line in text[:LONGEST].splitlines())
            logger.experiment.add_text(name, indented, step)


def draw_parameters(logger: TensorBoardLogger, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Fill the HPARAMS tab: settings beside the newest value of each metric.

    Args:
        logger: the board.
        settings: dotted name -> value.
        metrics: tags of scalars that are drawn already.
    """
    from torch.utils.tensorboard.summary import hparams  # loads all of TensorBoard

    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in settings.items()
        if value is not None and not name.endswith("class_path")
    }
    writer = logger.experiment._get_file_writer()
    for summary in hparams(plain, dict(metrics)):  # type: ignore[no-untyped-call]
        writer.add_summary(summary)


def _exactly(tag: str) -> str:
    """A pattern that a tag alone matches."""
    return f"^{re.escape(tag)}$"


def _cell(text: str) -> str:
    """A text as a cell of a table in Markdown: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~-])", r"\\\1", " ".join(text.split()))
