"""Objects as plain values, so that a checkpoint can name what it was trained on without pickling it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from idiff.utils.settings import ARGUMENTS, CLASS

LEFT_OUT = "left_out"
"""Key of a described object: argument -> class of a value that is not plain and was left out."""


class _NotPlainError(Exception):
    """A value that has no plain form."""


def described_tasks(datamodule: Any) -> dict[str, dict[str, Any]]:
    """What a data module trains and evaluates, read from the objects that it holds.

    Args:
        datamodule: its `entries` (name -> object with a `task`) are described, or its `tasks` (name -> task) where it has no
            entries. None, or a module with neither, has no tasks.

    Returns:
        name -> the entry's attributes as plain values; `task` is `{class_path, init_args}`.
    """
    entries = getattr(datamodule, "entries", None) or getattr(datamodule, "tasks", None)
    if not isinstance(entries, Mapping):
        return {}
    return {str(name): _entry(entry) for name, entry in entries.items()}


def _entry(entry: Any) -> dict[str, Any]:
    if not hasattr(entry, "task"):
        return {"task": plain(entry)}
    values = {each.name: getattr(entry, each.name) for each in fields(entry)} if is_dataclass(entry) else vars(entry)
    kept, _ = _each(values)
    return kept


def plain(value: Any) -> Any:
    """A value as None, bool, int, float, str, list and dict.

    A path becomes its text, a dataclass or mapping a dict, an enum member its name. An object with `settings`, its constructor's
    arguments by name, becomes `{class_path, init_args}`; arguments that have no plain form are listed under `left_out`. One
    that has `wrapped`, another object, is described as that.

    Raises:
        _NotPlainError: the value has no plain form.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, Enum | PurePath):
        return value.name if isinstance(value, Enum) else str(value)
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)  # without the class of one's own that it may have
    if isinstance(value, Mapping):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return None if value is None else _plain_object(value)


def _plain_object(value: Any) -> dict[str, Any]:
    value = getattr(value, "wrapped", value)
    settings = getattr(value, "settings", None)
    if isinstance(value, type) or not (is_dataclass(value) or isinstance(settings, Mapping)):
        raise _NotPlainError
    if not isinstance(settings, Mapping):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    kept, left = _each(settings)
    return {CLASS: class_path(type(value)), ARGUMENTS: kept} | ({LEFT_OUT: left} if left else {})


def class_path(kind: type) -> str:
    """The shortest path that a class is imported by: from a package that offers it, else from its module."""
    parts = kind.__module__.split(".")
    packages = (".".join(parts[:count]) for count in range(1, len(parts)))
    offered = (name for name in packages if getattr(sys.modules.get(name), kind.__qualname__, None) is kind)
    return f"{next(offered, kind.__module__)}.{kind.__qualname__}"


def _each(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Plain values by name, and the classes of those that are not plain."""
    kept: dict[str, Any] = {}
    left: dict[str, str] = {}
    for name, value in values.items():
        try:
            kept[name] = plain(value)
        except _NotPlainError:
            left[name] = class_path(type(value))
    return kept, left
