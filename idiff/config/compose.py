"""Configurations made of parts: a YAML may include others, and later ones change single values of earlier ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from idiff.errors import ConfigError
from idiff.utils.moved import modernised

INCLUDE = "include"
SCHEMA = "$schema"


def compose(files: list[str]) -> dict[str, Any]:
    """Merge configuration files in order.

    At any level of a file, `include: PATH` or a list of paths, relative to the file that names them, is read first and the keys
    beside it go over it. An entry of `tasks` may be a path itself. A file's `$schema` key is for editors and left out.

    Args:
        files: paths, in the order they were given.

    Raises:
        ConfigError: a file is missing, is no YAML, holds no mapping, includes itself, or its `include` names no files.
    """
    merged: dict[str, Any] = {}
    for file in files:
        merged = merge(merged, modernised(_load(Path(file), ())))
    return merged


def merge(base: Any, over: Any) -> Any:
    """Lay one value over another: mappings key by key, everything else whole.

    A mapping of another `class_path` replaces the one below it, whose arguments would not fit.
    """
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if "class_path" in base and "class_path" in over and base["class_path"] != over["class_path"]:
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}


def _load(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    resolved = path.resolve()
    if resolved in above:
        chain = " -> ".join(str(item) for item in (*above, resolved))
        raise ConfigError(f"{path} includes itself: {chain}. Take one include out.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        by = f", included by {above[-1]}" if above else ""
        raise ConfigError(f"{path} is missing{by}: expected a YAML file. Configurations lie under configs/.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} is no valid YAML: {reason}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds {type(content).__name__}: expected a mapping of settings")
    content.pop(SCHEMA, None)
    expanded = _expand(content, path, (*above, resolved))
    assert isinstance(expanded, dict)
    return expanded


def _expand(value: Any, path: Path, above: tuple[Path, ...]) -> Any:
    if isinstance(value, list):
        return [_expand(item, path, above) for item in value]
    if not isinstance(value, dict):
        return value
    parts = value.get(INCLUDE, [])
    merged: Any = {}
    for part in parts if isinstance(parts, list) else [parts]:
        if not isinstance(part, str):
            raise ConfigError(f"{path}: {INCLUDE} is {part!r}: expected a path, or a list of paths, to YAML files")
        merged = merge(merged, _load(path.parent / part, above))
    own = {key: _expand(item, path, above) for key, item in value.items() if key != INCLUDE}
    tasks = own.get("tasks")
    if isinstance(tasks, dict):
        own["tasks"] = {
            name: _load(path.parent / entry, above) if isinstance(entry, str) else entry
            for name, entry in tasks.items()
        }
    return merge(merged, own)
