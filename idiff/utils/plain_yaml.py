"""YAML as plain values, with a bound on what a few bytes can stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from idiff.utils.foreign import reason_of

MAX_VALUES = 1_000_000
"""Values of a file, what aliases repeat included."""


def parse_yaml(text: str, *, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read one YAML document as None, bool, numbers, dates, text, lists and mappings; no other object is made.

    >>> parse_yaml("{a: [1, 2]}")
    {'a': [1, 2]}

    Args:
        text: the document.
        loader: a kind of `yaml.SafeLoader`.

    Raises:
        ValueError: it is no YAML, or its aliases stand for too many values; with line and reason.
    """
    try:
        value = yaml.load(text, Loader=loader)
        count = _count(value, {}, set())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except Exception as error:  # the parser raises errors of many kinds, its own among them
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        at = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{at}{problem or reason_of(error)}") from None
    if count > MAX_VALUES:
        raise ValueError(f"its aliases stand for more than {MAX_VALUES:,} values")
    return value


def _count(value: Any, known: dict[int, int], above: set[int]) -> int:
    """How many values there are where each alias is written out."""
    if not isinstance(value, Mapping | list):
        return 1
    if id(value) in above:
        raise ValueError("an alias stands within what it stands for")
    if id(value) not in known:
        above.add(id(value))
        parts = value.values() if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_count(part, known, above) for part in parts)
        above.discard(id(value))
    return known[id(value)]
