"""Bring a task back from what a checkpoint says it was trained with."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import idiff.tasks
from idiff.errors import CheckpointError, ConfigError, missing, suggest
from idiff.sampling import Sampling
from idiff.tasks.base import Task
from idiff.tasks.example_pair import with_example
from idiff.tasks.trust import is_known, refuse_foreign
from idiff.utils.described import LEFT_OUT, class_path
from idiff.utils.foreign import decoding, read_json, read_text, reason_of
from idiff.utils.moved import current, modernised
from idiff.utils.plain_yaml import parse_yaml
from idiff.utils.presets import Preset
from idiff.utils.settings import UNKNOWN, parameters, plainly

_MADE_FROM = ("task", "metrics", "sampling")
"""What of an entry a task is made from; the others say where its shards lay."""

FOREIGN = "another's"
"""What stands for the kind of a task whose class is not imported."""


@dataclass(slots=True)
class TaskChoice:
    """A task, its name, how its images are sampled, and the arguments it was made with, defaults included.

    `entry` is the task's name in the training, `preset` what set the sampling; None: the training's own settings. `joints` are
    those that its training set names; none where the checkpoint does not say.
    """

    name: str
    task: Task
    sampling: Sampling
    settings: dict[str, Any]
    entry: str = ""
    preset: Preset | None = None
    joints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Described:
    """What a training says of one of its tasks: its kind, how it is sampled, and the side of its images in pixels."""

    kind: str
    sampling: Sampling
    size: int | None


def restore_task(
    config: dict[str, Any],
    wanted: str | None,
    *,
    data: str,
    changes: dict[str, Any],
    presets: Mapping[str, Preset] | None = None,
    trust: bool = False,
) -> TaskChoice:
    """Choose a task of a training.

    Args:
        config: the training's configuration and tasks, as its checkpoint carries them: `tasks`, see `described_tasks`; a
            checkpoint of an earlier version has the configuration alone, which is read instead.
        wanted: a task's name there, or a kind; None: the kind the shards are made for. Of several tasks of a kind, the first. Or
            a YAML as under `configs/task`: a task that the model was never trained on.
        data: folder of shards.
        changes: arguments of the task that are set anew.
        presets: by the task's name in the training; one goes over the training's own sampling.
        trust: import code of others that `config` names, and read files that it names; see `idiff.tasks.trust`. A YAML that is
            asked for is always trusted.

    Raises:
        ConfigError: no task fits what was asked, or it does not take an argument.
        CheckpointError: the training had no task, or a task cannot be made again.
        UntrustedError: it takes code or files of others, and `trust` is not set.
        DataError: the YAML is missing.
    """
    if wanted is not None and Path(wanted).suffix in {".yaml", ".yml"}:
        return _untrained(Path(wanted), changes)
    entries = _entries(config, trust=trust)

    def chosen(entry: str, name: str) -> TaskChoice:
        if not trust:
            described = {key: value for key, value in entries[entry].items() if key in _MADE_FROM}
            refuse_foreign(entry, described | {"preset": _sampler(presets, entry)}, without=changes)
        with decoding(lambda reason: CheckpointError(f"the task '{entry}' cannot be made again: {reason}.")):
            return _preset(_build(name, entries[entry], changes, saved=True), entry, presets)

    if wanted in entries:
        return chosen(str(wanted), str(wanted))
    asked = [wanted] if wanted is not None else _kinds_of(data)
    kinds = {name: _kind(entry, trust=trust) for name, entry in entries.items()}
    names = [name for name, kind in kinds.items() if kind in asked]
    if not names:
        for name in (name for name, kind in kinds.items() if kind == FOREIGN):
            refuse_foreign(name, {"task": entries[name]["task"]})
        raise ConfigError(
            f"the checkpoint was trained on no task '{' or '.join(asked)}'{suggest(asked[0], [*entries, *kinds.values()]) or '.'} "
            f"Known: {', '.join(f'{name} ({kind})' for name, kind in kinds.items())}. Ask for one of these, or "
            "for a task it never saw by its YAML, such as configs/task/detection.yaml."
        )
    return chosen(names[0], kinds[names[0]])


def described_samplings(config: dict[str, Any], presets: Mapping[str, Preset] | None = None) -> dict[str, Described]:
    """How each task of a training is sampled, with nothing of it made again; empty where the training had no task.

    Args:
        config: as `restore_task`.
        presets: by the task's name in the training.
    """
    try:
        entries = _entries(config, trust=False)
    except CheckpointError:
        return {}
    found = {}
    for name, entry in entries.items():
        task = entry["task"] if isinstance(entry["task"], dict) else {"class_path": entry["task"]}
        kind = _kind(entry, trust=False)
        sampling, preset = Sampling(**(entry.get("sampling") or {})), (presets or {}).get(name)
        sampling = sampling if kind == FOREIGN else sampling.resolved(kind)
        size = modernised(task).get("init_args", {}).get("size")
        found[name] = Described(
            kind, sampling if preset is None else preset.over(sampling), None if size is None else int(size)
        )
    return found


def saved_kinds(config: dict[str, Any], *, trust: bool = False) -> dict[str, str]:
    """The tasks of a training by their names, with their kinds, `FOREIGN` where that is not told; see `restore_task`."""
    return {name: _kind(entry, trust=trust) for name, entry in _entries(config, trust=trust).items()}


def _untrained(path: Path, changes: dict[str, Any]) -> TaskChoice:
    """A task that its YAML describes; it is named by the file."""
    try:
        entry = parse_yaml(read_text(path))
    except FileNotFoundError:
        raise missing(path, what="the YAML of a task", remedy="Correct --task.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as YAML ({str(error).splitlines()[0]}). Correct --task.") from None
    task = entry.get("task") if isinstance(entry, dict) else None
    if not (isinstance(task, str) or (isinstance(task, dict) and "class_path" in task)):
        raise ConfigError(f"{path} describes no task: expected `task:` with a `class_path`, as under configs/task.")
    if isinstance(task, dict):  # arguments may stand beside the class
        beside = {key: value for key, value in task.items() if key not in {"class_path", "init_args"}}
        entry |= {"task": {"class_path": task["class_path"], "init_args": (task.get("init_args") or {}) | beside}}
    return _build(path.stem, entry, changes)


def _preset(choice: TaskChoice, entry: str, presets: Mapping[str, Preset] | None) -> TaskChoice:
    """The choice, sampled as the preset of its entry says, where there is one."""
    choice.entry, choice.preset = entry, (presets or {}).get(entry)
    if choice.preset is not None:
        choice.sampling = choice.preset.over(choice.sampling)
    return choice


def _sampler(presets: Mapping[str, Preset] | None, entry: str) -> dict[str, str]:
    return {"sampler": presets[entry].sampler} if presets and entry in presets else {}


def _kind(entry: dict[str, Any], *, trust: bool) -> str:
    """The kind of a task; `FOREIGN` where its class may not be imported to tell."""
    task = entry["task"]
    path = str(task["class_path"] if isinstance(task, dict) else task)
    return _class(task).kind if trust or is_known(path) else FOREIGN


def _entries(config: dict[str, Any], *, trust: bool) -> dict[str, dict[str, Any]]:
    """Name -> task and sampling, as plain values."""
    with decoding(lambda reason: CheckpointError(f"the checkpoint's tasks cannot be read: {reason}.")):
        found = _described(config, trust=trust)
        for name, entry in found.items():
            if not (isinstance(entry, dict) and isinstance(entry.get("task"), str | dict)):
                raise ValueError(f"'{name}' describes no task")
            if isinstance(entry["task"], dict) and not isinstance(entry["task"].get("class_path"), str):
                raise ValueError(f"'{name}' names no class")
        return found


def _described(config: dict[str, Any], *, trust: bool) -> dict[str, dict[str, Any]]:
    if config.get("tasks"):
        return dict(config["tasks"])
    data = config.get("data") or {}
    arguments = data.get("init_args") or {}
    if isinstance(arguments.get("tasks"), dict):
        return {name: entry.get("init_args", entry) for name, entry in arguments["tasks"].items()}
    if not trust and not arguments.get("task") and data.get("class_path"):
        refuse_foreign(str(arguments.get("name") or "task"), {"task": data["class_path"]})
    task = arguments.get("task") or _default_task(data.get("class_path"))
    if task is not None:
        return {arguments.get("name") or "task": arguments | {"task": task}}
    raise CheckpointError(
        "the checkpoint carries no task: expected one that `idiff fit` wrote with a data module of tasks. Name the task by its "
        "YAML, such as configs/task/segmentation.yaml."
    )


def _default_task(datamodule: Any) -> str | None:
    """Class path of the task that a data module has where none is set."""
    try:
        kind = getattr(_imported(str(datamodule)), "default_task", None)
    except Exception:  # a module may fail in any way when it is imported
        return None
    return class_path(kind) if inspect.isclass(kind) else None


def _kinds_of(data: str) -> list[str]:
    manifest = Path(data) / "manifest.json"
    expected = "expected a folder that `idiff data build` wrote"
    with decoding(lambda reason: ConfigError(f"{manifest} cannot be read ({reason}): {expected}")):
        return [str(kind) for kind in read_json(manifest)["tasks"]]


def _class(description: dict[str, Any] | str) -> type[Task]:
    path = description if isinstance(description, str) else str(description["class_path"])
    try:
        found = _imported(path)
    except Exception as error:  # a module may fail in any way when it is imported
        raise CheckpointError(
            f"the task {path} cannot be imported ({reason_of(error)}): put its file on the path"
        ) from None
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise CheckpointError(f"{path} is not a task: expected a subclass of idiff.tasks.base.Task")
    return found


def _imported(path: str) -> Any:
    module, _, name = current(path).rpartition(".")
    return getattr(importlib.import_module(module) if module else idiff.tasks, name)


def _build(name: str, entry: dict[str, Any], changes: dict[str, Any], *, saved: bool = False) -> TaskChoice:
    """Make a task of its description; a saved one that lacks an argument has the default of the version that wrote it."""
    description: dict[str, Any] = entry["task"] if isinstance(entry["task"], dict) else {"class_path": entry["task"]}
    kind = _class(description)
    known, description = parameters(kind), modernised(description)
    for change in changes:
        if change not in known:
            raise ConfigError(
                f"the task '{name}' takes no '{change}'{suggest(change, known) or '.'} It takes: {', '.join(known)}."
            )
    lost = {key: value for key, value in description.get(LEFT_OUT, {}).items() if key not in changes}
    if lost:
        raise CheckpointError(
            f"the task '{name}' was made with {', '.join(f'{key} (a {value})' for key, value in lost.items())}, which a checkpoint "
            "cannot carry. Give the task as a YAML instead of its name."
        )
    former = dict(kind.former) if saved else {}
    task: Task = kind(**former | _arguments(name, kind, description.get("init_args") or {}) | changes)
    task = with_example(task, entry.get("example"))
    task.more_metrics = dict(entry.get("metrics") or {})
    sampling = Sampling(**(entry.get("sampling") or {})).resolved(kind.kind)
    return TaskChoice(name, task, sampling, dict(task.settings), joints=tuple(entry.get("joints") or ()))


def _arguments(name: str, kind: type[Task], saved: dict[str, Any]) -> dict[str, Any]:
    """Saved arguments of a class as its constructor takes them: a path, a dataclass or a member of an enum is made again.

    Plain values are taken as they are: a parser resolves every name of the task's module, and so imports what scores it.
    """
    known = parameters(kind)
    plain = {key: plainly(value, known[key].annotation) if key in known else UNKNOWN for key, value in saved.items()}
    needed = {key for key, each in known.items() if each.default is each.empty}
    if needed <= saved.keys() and not any(value is UNKNOWN for value in plain.values()):
        return plain
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    try:
        made = parser.instantiate_classes(parser.parse_object(saved, defaults=False))
    except ArgumentError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"the task '{name}' cannot be made again, {kind.__qualname__} takes other arguments today: {reason}. Give the task as "
            "a YAML instead of its name."
        ) from None
    return {key: made[key] for key in saved}
