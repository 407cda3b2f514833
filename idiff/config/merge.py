"""Lay one configuration over another."""

from __future__ import annotations

from typing import Any


def merge(base: Any, over: Any) -> Any:
    """Lay one value over another: mappings key by key, everything else whole.

    A mapping of another `class_path` replaces the one below it, whose arguments would not fit.
    """
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if "class_path" in base and "class_path" in over and base["class_path"] != over["class_path"]:
        return over
    return {**base, **{key: merge(base[key], value) if key in base else value for key, value in over.items()}}
