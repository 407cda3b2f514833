"""What a training shows and logs where its configuration leaves that open: TensorBoard, how often, lines or a bar."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idiff.callbacks import RunBoard, TimestepLoss
from idiff.callbacks.console import shown

POINTS = 50
"""Log lines of a run that is bounded by steps, at least, where it has as many steps."""

OFTEN, SELDOM = 10, 50
"""Steps between two log lines: where the number of steps is not known, and at most."""


def logged(settings: Mapping[str, Any], *, root: Path, purge_step: int | None, fit: bool) -> dict[str, Any]:
    """Arguments of Lightning's trainer.

    Args:
        settings: the trainer's, as configured.
        root: the run folder.
        purge_step: the first step that is drawn again.
        fit: whether the trainer trains.
    """
    found: dict[str, Any] = {}
    if settings.get("logger") in (None, True):
        found["logger"] = fit and RunBoard(root, purge_step=purge_step)
    if settings.get("log_every_n_steps") is None:
        found["log_every_n_steps"] = log_interval(settings.get("max_steps"))
    found |= shown(settings, terminal=sys.stdout.isatty())
    return found | {"callbacks": [*found["callbacks"], *([TimestepLoss()] if fit else [])]}


def log_interval(steps: int | None) -> int:
    """Steps between two log lines, so that a short run has curves and a long one no needless lines.

    >>> [log_interval(steps) for steps in (20, 500, 100_000, -1, None)]
    [1, 10, 50, 10, 10]
    """
    return OFTEN if steps is None or steps < 0 else min(max(1, steps // POINTS), SELDOM)
