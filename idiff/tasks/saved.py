"""Bring a task back from what a checkpoint says it was trained with."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import idiff.tasks
from idiff.errors import CheckpointError, ConfigError, missing, suggest
from idiff.tasks.base import Task
from idiff.types import Sampling
from idiff.utils.moved import current
from idiff.utils.presets import Preset


@dataclass(slots=True)
class TaskChoice:
    """A task, its name, how its pictures are sampled, and the arguments it was made with, defaults included.

    `entry` is the task's name in the training, `preset` what set the sampling; None: the training's own settings.
    """

    name: str
    task: Task
    sampling: Sampling
    settings: dict[str, Any]
    entry: str = ""
    preset: Preset | None = None


def restore_task(
    config: dict[str, Any],
    wanted: str | None,
    *,
    data: str,
    changes: dict[str, Any],
    presets: Mapping[str, Preset] | None = None,
) -> TaskChoice:
    """Choose a task of a training.

    Args:
        config: the training's configuration, as its checkpoint carries it.
        wanted: a task's name there, or a kind; None: the kind the shards are made for. Of several tasks of a kind, the first. Or
            a YAML as under `configs/task`: a task that the model was never trained on.
        data: folder of shards.
        changes: arguments of the task that are set anew.
        presets: by the task's name in the training; one goes over the training's own sampling.

    Raises:
        ConfigError: no task fits what was asked, or it does not take an argument.
        DataError: the YAML is missing.
    """
    if wanted is not None and Path(wanted).suffix in {".yaml", ".yml"}:
        return _untrained(Path(wanted), changes)
    entries = _entries(config)
    kinds = {name: _class(entry["task"]).kind for name, entry in entries.items()}
    if wanted in entries:
        return _preset(_build(str(wanted), entries[str(wanted)], changes), str(wanted), presets)
    asked = [wanted] if wanted is not None else _kinds_of(data)
    names = [name for name, kind in kinds.items() if kind in asked]
    if not names:
        raise ConfigError(
            f"the checkpoint was trained on no task '{' or '.join(asked)}'{suggest(asked[0], [*entries, *kinds.values()]) or '.'} "
            f"Known: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}. Ask for one of these, or "
            "for a task it never saw by its YAML, such as configs/task/detection.yaml."
        )
    return _preset(_build(kinds[names[0]], entries[names[0]], changes), names[0], presets)


def _untrained(path: Path, changes: dict[str, Any]) -> TaskChoice:
    """A task that its YAML describes; it is named by the file."""
    try:
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise missing(path, what="the YAML of a task", remedy="Correct --task.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML ({str(error).splitlines()[0]}). Correct --task.") from None
    task = entry.get("task") if isinstance(entry, dict) else None
    if not (isinstance(task, str) or (isinstance(task, dict) and "class_path" in task)):
        raise ConfigError(f"{path} describes no task: expected `task:` with a `class_path`, as under configs/task.")
    return _build(path.stem, entry, changes)


def _preset(choice: TaskChoice, entry: str, presets: Mapping[str, Preset] | None) -> TaskChoice:
    """The choice, sampled as the preset of its entry says, where there is one."""
    choice.entry, choice.preset = entry, (presets or {}).get(entry)
    if choice.preset is not None:
        choice.sampling = choice.preset.over(choice.sampling)
    return choice


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
    module, _, name = current(path).rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else idiff.tasks, name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"the task {path} cannot be imported ({error}): put its file on the path") from None
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise CheckpointError(f"{path} is no task: expected a subclass of idiff.tasks.base.Task")
    return found


def _build(name: str, entry: dict[str, Any], changes: dict[str, Any]) -> TaskChoice:
    description = entry["task"]
    kind = _class(description)
    known = inspect.signature(kind).parameters
    for change in changes:
        if change not in known:
            raise ConfigError(
                f"the task '{name}' takes no '{change}'{suggest(change, known) or '.'} It takes: {', '.join(known)}."
            )
    arguments = {} if isinstance(description, str) else description.get("init_args") or {}
    settings = {key: value.default for key, value in known.items()} | arguments | changes
    return TaskChoice(name, kind(**settings), Sampling(**(entry.get("sampling") or {})), settings)
