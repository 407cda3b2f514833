"""YAML as plain values, with a bound on what a few bytes can stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

MAX_CHARACTERS = 1 << 20
"""Longer text is refused: what is written by hand is shorter, and the parser is slow."""

MAX_VALUES = 1_000_000
"""Values of a file, what aliases repeat included."""


class _OnceLoader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, YAML itself silently keeps the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader`."""
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    said = f"the key '{key.value}' stands in line {lines[key.value]} already: leave one of them out"
                    raise yaml.constructor.ConstructorError(None, None, said, key.start_mark)
                lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


def parse_yaml(text: str) -> Any:
    """Read one YAML document as None, bool, numbers, dates, text, lists and mappings; no other object is made.

    >>> parse_yaml("{a: [1, 2]}")
    {'a': [1, 2]}

    Raises:
        ValueError: it is no YAML, a key stands twice, or its aliases stand for too many values; with the line and the reason in one
            line.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    try:
        value = yaml.load(text, Loader=_OnceLoader)
        count = _count(value, {}, set())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        at = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise ValueError(f"{at}{error.problem or ' '.join(str(error).split())[:200]}") from None
    except Exception as error:  # the parser raises errors of many kinds, its own among them
        raise ValueError(" ".join(str(error).split())[:500] or type(error).__name__) from None
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
