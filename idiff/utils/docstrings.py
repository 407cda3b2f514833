"""What the docstring of a class says of each argument of its constructor."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache

_SECTIONS = re.compile(r"^(?:Args|Attributes):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+)[^:\n]*: (.*(?:\n {5,}.*)*)", re.MULTILINE)


@cache
def told(kind: type) -> Mapping[str, str]:
    """Argument -> its words under `Args:` or `Attributes:` of the class or of its constructor, the nearest class first."""
    found: dict[str, str] = {}
    for base in kind.__mro__[:-1]:
        for doc in (vars(base).get("__doc__"), getattr(vars(base).get("__init__"), "__doc__", None)):
            for section in _SECTIONS.findall(inspect.cleandoc(doc or "")):
                for name, text in _ENTRY.findall(section):
                    found.setdefault(name, " ".join(text.split()))
    return found


def summary(kind: type) -> str:
    """The first paragraph of a class's own docstring, in one line."""
    return " ".join(inspect.cleandoc(vars(kind).get("__doc__") or "").split("\n\n")[0].split())
