"""A task of a loaded model, asked as the options of a command or of `Pipeline` say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from idiff.models.io.checkpoint import Loaded
from idiff.models.memory import check_side
from idiff.tasks.asking import Asking
from idiff.tasks.saved import TaskChoice, restore_task


def choose_task(
    loaded: Loaded,
    asking: Asking,
    wanted: str | None,
    *,
    data: str = "",
    changes: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> TaskChoice:
    """Restore a task and put the settings of `asking` over its own.

    Args:
        loaded: the model.
        asking: how it is asked.
        wanted: see `restore_task`.
        data: see `restore_task`.
        changes: arguments of the task that are set anew, besides those of `asking`.
        trust: see `restore_task`.

    Raises:
        ConfigError: see `restore_task`; or a setting does not fit the model.
        CheckpointError: see `restore_task`.
        UntrustedError: see `restore_task`.
        DataError: see `restore_task`.
    """
    presets = asking.presets(loaded.presets)
    choice = restore_task(
        loaded.config, wanted, data=data, changes={**(changes or {}), **asking.changes}, presets=presets, trust=trust
    )
    if choice.task.one_size:
        check_side(loaded.backbone, asking.size)
    choice = asking.over(choice, rule=loaded.backbone.objective.rule)
    choice.sampling.scales(loaded.backbone.objective.rule)
    return choice
