"""The training sets of a configuration, of which caches are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idiff.errors import ConfigError


def training_sets(config: Mapping[str, Any], *, folder: str | None, task: str | None, origin: str) -> dict[str, str]:
    """Which tasks of a configuration are trained on which shards.

    Args:
        config: with `data.init_args.tasks`.
        folder: shards; None: those of every task.
        task: the name of the only task that counts; None: all.
        origin: names the configuration, for errors.

    Returns:
        task name -> shards.

    Raises:
        ConfigError: there are no tasks, none of them reads the shards, or none has any.
    """
    entries = ((config.get("data") or {}).get("init_args") or {}).get("tasks")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(f"{origin} names no task: expected a task's YAML, or an experiment with data.init_args.tasks")
    trained = {name: str(entry["train"]) for name, entry in entries.items() if entry.get("train")}
    if task is not None and task not in entries:
        raise ConfigError(f"--task '{task}' is not in the configuration, which has: {', '.join(entries)}")
    if folder is None:
        chosen = {name: place for name, place in trained.items() if task in {None, name}}
        if not chosen:
            raise ConfigError("no task of the configuration has training shards: name their folder, or set `train`")
        return chosen
    if task is not None:
        return {task: folder}
    found = [name for name, place in trained.items() if Path(place).resolve() == Path(folder).resolve()]
    found = found or (list(entries) if len(entries) == 1 else [])
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} tasks of the configuration train on {folder}: name one with --task ({', '.join(entries)})"
        )
    return {found[0]: folder}
