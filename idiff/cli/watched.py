"""Whether callbacks watch metrics that this training will have: said before the first step, not after the first validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch.callbacks import Callback

from idiff.callbacks.best import SCORE
from idiff.errors import ConfigError, suggest
from idiff.stages.tasks import TaskTraining

_SHOWN = 12


def names_of_metrics(data: Any) -> list[str]:
    """What a validation of these tasks logs: `val/<task>/<metric>`, the loss of each, and the mean of the headlines."""
    entries: Mapping[str, Any] = getattr(data, "entries", {})
    names = [
        f"val/{name}/{key}"
        for name, entry in entries.items()
        if entry.val
        for key in [*entry.task.all_metrics(), "loss"]
    ]
    return [*names, SCORE] if names else []


def refuse_unlogged(watching: Iterable[Any], *, stage: Any, data: Any) -> None:
    """Refuse a callback that watches a metric which nothing logs.

    What a stage or callbacks of a user's own log is not known before; then Lightning says it after a validation.

    Args:
        watching: the callbacks of the training.
        stage: what is trained.
        data: the data module.

    Raises:
        ConfigError: names what is logged.
    """
    callbacks = [each for each in watching if isinstance(each, Callback)]
    ours = all(type(each).__module__.partition(".")[0] in {"idiff", "lightning"} for each in callbacks)
    known = names_of_metrics(data)
    if type(stage) is not TaskTraining or not ours or not known:
        return
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in known and not monitor.startswith(("train/", "system/")):
            raise ConfigError(unlogged(monitor, known))


def unlogged(monitor: str, known: list[str]) -> str:
    """The sentence about a metric that nothing logs."""
    meant = suggest(monitor, known) or suggest(f"val/{monitor}", known)
    if not meant:
        last = {name.rpartition("/")[2]: name for name in reversed(known)}
        near = suggest(monitor.rpartition("/")[2], last)
        meant = f"; did you mean '{last[near.split(chr(39))[1]]}'?" if near else ""
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"a callback watches '{monitor}', which nothing logs{meant or '.'} Logged are: {', '.join(known[:_SHOWN])}{more}."
