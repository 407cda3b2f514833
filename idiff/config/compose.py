"""Configurations made of parts: a YAML may include others, and later ones change single values of earlier ones."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from idiff.config.lines import place_of_value
from idiff.config.merge import merge
from idiff.config.short_form import DEFAULTS, ROOT_HINT, UnknownClassError, completed, lengthened
from idiff.errors import ConfigError
from idiff.utils.foreign import read_text
from idiff.utils.moved import modernised
from idiff.utils.plain_yaml import parse_yaml

INCLUDE = "include"
SCHEMA = "$schema"


def compose(files: list[str]) -> dict[str, Any]:
    """Merge configuration files in order.

    At any level of a file, `include: PATH` or a list of paths, relative to the file that names them, is read first and the keys
    beside it go over it. An entry of `tasks` may be a path itself. A file's `$schema` key is for editors and left out. What
    comes back is the long form (`idiff.config.short_form`).

    Args:
        files: paths, in the order they were given.

    Raises:
        ConfigError: a file is missing, is no YAML, holds no mapping, includes itself, names a class that is not there, or
            its `include` names no files.
    """
    try:
        return completed(_merged((layer for file in files for layer in _load(Path(file), ())), ROOT_HINT))
    except UnknownClassError as error:
        place = place_of_value(files, error.name)
        raise ConfigError(f"{place}: {error}" if place else str(error)) from None


def _load(path: Path, above: tuple[Path, ...]) -> list[dict[str, Any]]:
    """A file as layers without includes, the lowest first."""
    resolved = path.resolve()
    if resolved in above:
        chain = " -> ".join(str(item) for item in (*above, resolved))
        raise ConfigError(f"{path} includes itself: {chain}. Take one include out.")
    try:
        content = parse_yaml(read_text(path))
    except FileNotFoundError:
        by = f", included by {above[-1]}" if above else ""
        raise ConfigError(f"{path} is missing{by}: expected a YAML file. Configurations lie under configs/.") from None
    except IsADirectoryError:
        raise ConfigError(
            f"{path} cannot be read, it is a folder: expected a YAML file, such as one under configs/."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. Correct the file."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from None
    if content is None:
        return [{}]
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}: expected a mapping of settings")
    content.pop(SCHEMA, None)
    return _layers(content, path, (*above, resolved))


def _layers(value: dict[Any, Any], path: Path, above: tuple[Path, ...]) -> list[dict[str, Any]]:
    """A mapping as layers without includes: those that it includes, those that its values include, its own values.

    Layers, and not one mapping, because each is made long (`lengthened`) before they are merged, and that takes whole files.
    """
    parts = value.get(INCLUDE, [])
    below: list[dict[str, Any]] = []
    for part in parts if isinstance(parts, list) else [parts]:
        if not isinstance(part, str):
            raise ConfigError(f"{path}: {INCLUDE} is {part!r}: expected a path, or a list of paths, to YAML files")
        below += _load(path.parent / part, above)
    nested: list[dict[str, Any]] = []
    own: dict[str, Any] = {}
    for key, item in value.items():
        if key == INCLUDE:
            continue
        if isinstance(item, dict):
            *lower, own[key] = _layers(_paths_as_includes(item) if key == "tasks" else item, path, above)
            nested += [{key: layer} for layer in lower]
        elif isinstance(item, list):
            own[key] = [_item(each, ROOT_HINT if key == "stages" else Any, path, above) for each in item]
        else:
            own[key] = item
    if (
        isinstance(own.get("tasks"), dict) and DEFAULTS in own
    ):  # over what the entries include, under what they say themselves
        defaults = own.pop(DEFAULTS)
        nested.append({"tasks": dict.fromkeys(own["tasks"], defaults)})
    order = [_order(value)] if nested else []  # of the values, whichever of them include something
    return [*below, *order, *nested, own]


def _paths_as_includes(tasks: dict[Any, Any]) -> dict[Any, Any]:
    return {name: {INCLUDE: entry} if isinstance(entry, str) else entry for name, entry in tasks.items()}


def _order(value: dict[Any, Any]) -> dict[str, Any]:
    """The nesting of a mapping without its values."""
    return {
        key: _order(_paths_as_includes(item) if key == "tasks" else item)
        for key, item in value.items()
        if isinstance(item, dict) and key != INCLUDE
    }


def _item(value: Any, hint: Any, path: Path, above: tuple[Path, ...]) -> Any:
    """One element of a list, whole."""
    if isinstance(value, list):
        return [_item(each, hint, path, above) for each in value]
    return _merged(_layers(value, path, above), hint) if isinstance(value, dict) else value


@cache
def notice(text: str) -> None:
    """Say it once."""
    sys.stderr.write(f"idiff: {text}\n")


def _merged(layers: Iterable[dict[str, Any]], hint: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = merge(merged, lengthened(modernised(layer, notice), hint))
    return merged
