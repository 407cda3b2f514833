"""Bring a task back from what a checkpoint says it was trained with."""

from __future__ import annotations

import importlib
import inspect
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import idiff.tasks
from idiff.errors import CheckpointError, ConfigError, suggest
from idiff.tasks.base import Task
from idiff.types import Sampling


@dataclass(slots=True)
class TaskChoice:
    """A task, its name and how its pictures are sampled."""

    name: str
    task: Task
    sampling: Sampling


def restore_task(config: dict[str, Any], wanted: str | None, *, data: str) -> TaskChoice:
    """Choose a task of a training.

    Args:
        config: the training's configuration, as its checkpoint carries it.
        wanted: a task's name there, or a kind; None: the only task, or the one whose kind the shards are made for.
        data: folder of shards.

    Raises:
        ConfigError: no task, or several, fit what was asked.
    """
    entries = _entries(config)
    kinds = {name: _class(entry["task"]).kind for name, entry in entries.items()}
    if wanted in entries:
        return _build(str(wanted), entries[str(wanted)])
    asked = [wanted] if wanted is not None else _kinds_of(data)
    names = [name for name, kind in kinds.items() if kind in asked]
    if not names:
        raise ConfigError(
            f"the checkpoint was trained on no task '{' or '.join(asked)}'{suggest(asked[0], [*entries, *kinds.values()])} "
            f"Known: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}. Choose one with --task."
        )
    return _build(names[0], entries[names[0]])


def _entries(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    arguments = (config.get("data") or {}).get("init_args") or {}
    if isinstance(arguments.get("tasks"), dict):
        return {name: entry.get("init_args", entry) for name, entry in arguments["tasks"].items()}
    if "task" in arguments:
        return {arguments.get("name") or "task": arguments}
    raise CheckpointError(
        "the checkpoint carries no task: expected one that `idiff fit` wrote with a data module of tasks"
    )


def _kinds_of(data: str) -> list[str]:
    manifest = Path(data) / "manifest.json"
    try:
        kinds = json.loads(manifest.read_text(encoding="utf-8"))["tasks"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{manifest} cannot be read: expected a folder that `idiff data build` wrote") from None
    return [str(kind) for kind in kinds]


def _class(description: dict[str, Any] | str) -> type[Task]:
    path = description if isinstance(description, str) else str(description["class_path"])
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else idiff.tasks, name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"the task {path} cannot be imported ({error}): put its file on the path") from None
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise CheckpointError(f"{path} is no task: expected a subclass of idiff.tasks.base.Task")
    return found


def _build(name: str, entry: dict[str, Any]) -> TaskChoice:
    description = entry["task"]
    arguments = {} if isinstance(description, str) else description.get("init_args") or {}
    return TaskChoice(name, _class(description)(**arguments), Sampling(**(entry.get("sampling") or {})))
