"""Entries of lists that people and programs wrote: read one by one, with typed fields; a wrong one is left out by name.

A reader of a set takes each entry's fields by the functions here. Each raises an `EntryError` that names entry and field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

_NAMED = 3


class EntryError(ValueError):
    """An entry that cannot be used: `reason` is its kind, for counting; the text names entry and field."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def read_each(listed: Iterable[Any], read: Callable[[int, str, Any], T], *, name: str, faults: list[str]) -> list[T]:
    """Read each entry of a list; a sentence is added to `faults` for each that cannot be used.

    Args:
        listed: the entries.
        read: (place in the list, what the entry is called, entry) -> what it holds; may raise an `EntryError`.
        name: of the list, in messages.
        faults: gets the sentences.
    """
    found: list[T] = []
    for place, entry in enumerate(listed):
        try:
            found.append(read(place, f"{name}[{place}]", entry))
        except EntryError as error:
            faults.append(str(error))
    return found


def first_faults(faults: Sequence[str]) -> str:
    """The first sentences about wrong entries, and how many more there are."""
    more = f" (and {len(faults) - _NAMED:,} more)" if len(faults) > _NAMED else ""
    return "; ".join(faults[:_NAMED]) + more


def wrong(where: str, field: str, value: Any, expected: str) -> EntryError:
    """The error for a field that holds something else."""
    return EntryError("of a wrong form", f"{where}: '{field}' is {value!r:.60}, expected {expected}")


def object_of(value: Any, *, where: str) -> Mapping[str, Any]:
    """An entry that has fields."""
    if not isinstance(value, Mapping):
        raise EntryError("of a wrong form", f"{where} is {value!r:.60}, expected an object")
    return value


def text_of(entry: Mapping[str, Any], field: str, *, where: str, expected: str = "text") -> str:
    """A field that holds text with something in it."""
    value = entry.get(field)
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise wrong(where, field, value, expected)
    return value


def list_of(
    entry: Mapping[str, Any], field: str, *, where: str, length: int | None = None, expected: str = "a list"
) -> list[Any]:
    """A field that holds a list, of some length where it is given."""
    value = entry.get(field)
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise wrong(where, field, value, expected)
    return value


def number_of(value: Any, *, where: str, field: str) -> float:
    """A finite number, or text that is one."""
    found = number(value)
    if found is None:
        raise wrong(where, field, value, "a number")
    return found


def whole_of(value: Any, *, where: str, field: str) -> int:
    """A whole number, or text that is one."""
    text = same_id(value)
    if text is None or not text.removeprefix("-").isdecimal() or len(text) > 20:
        raise wrong(where, field, value, "a whole number")
    return int(text)


def same_id(value: Any) -> str | None:
    """An id as text, so that 1, 1.0 and "1" are one; None where it is no id."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() if type(value) in {int, str} and value != "" else None


def number(value: Any) -> float | None:
    """A finite number, or text that is one; None for everything else."""
    if type(value) not in {int, float, str}:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
