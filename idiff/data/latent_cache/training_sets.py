"""The training sets of a configuration, of which caches are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError


def training_sets(entries: Mapping[str, TaskEntry], *, folder: str | None, task: str | None) -> dict[str, str]:
    """Which tasks of a configuration are trained on which shards.

    Args:
        entries: the tasks by name, and their data.
        folder: shards; None: those of every task.
        task: the name of the only task that counts; None: all.

    Returns:
        task name -> shards.

    Raises:
        ConfigError: no task reads the shards, or none has any.
    """
    trained = {name: entry.train for name, entry in entries.items() if entry.train}
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
