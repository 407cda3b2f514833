"""What a checkpoint may name: the tasks of this package and of installed ones. Anything else is another's code, or a file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from idiff.checks import is_path
from idiff.decoders.weights import pretrained
from idiff.errors import UntrustedError
from idiff.utils.moved import current
from idiff.utils.settings import ARGUMENTS, CLASS

GROUP = "idiff.tasks"
"""Entry points by which an installed package says that a class is a task: NAME = MODULE:CLASS."""

_CODE = {CLASS, "decoder", "sampler"}
"""Settings whose value is imported where it is a path of a module."""

_FILES = {"instructions", "words"}
"""Settings whose value is a file."""

_DOTTED = re.compile(r"[A-Za-z_]\w*([.:][A-Za-z_]\w*)+")


def installed() -> set[str]:
    """Class paths that installed packages offer as tasks. What lies in the working folder is not installed."""
    here = os.path.realpath(os.curdir)
    places = [place for place in sys.path if os.path.realpath(place or os.curdir) != here]
    points = (point for each in distributions(path=places) for point in each.entry_points if point.group == GROUP)
    return {point.value.replace(":", ".") for point in points}


def is_known(path: str) -> bool:
    """Whether a class path is of this package, or of an installed one that offers it as a task. Imports nothing."""
    name = current(path).replace(":", ".")
    return name.startswith("idiff.") or "." not in name or name in installed()


def refuse_foreign(name: str, entry: Mapping[str, Any], *, without: Collection[str] = ()) -> None:
    """Refuse a task that could only be made again by importing code, or opening a file, because a checkpoint says so.

    Args:
        name: the task's name.
        entry: what the checkpoint says of it, plain values.
        without: arguments that the user sets anew.

    Raises:
        UntrustedError: it names a class or function that is not of this package or of an installed task, or a file.
    """
    named = sorted({what for key, value in entry.items() for what in _named(key, value, without)})
    if named:
        raise UntrustedError(
            f"the checkpoint's task '{name}' names {', '.join(text[:80] for text in named[:3])}, which does not come with this "
            "package: it would be imported and run, or opened. Add --trust (in Python trust=True) where you trust its origin"
        )


def _named(key: str, value: Any, without: Collection[str]) -> Iterator[str]:
    """Foreign code and files in one setting of a task's description."""
    if isinstance(value, Mapping):
        for inner, each in value.items():
            if inner in without and key == ARGUMENTS:
                continue
            if key == "metrics" and isinstance(each, str):
                yield from _code(each)
            elif key == ARGUMENTS and isinstance(each, str) and _DOTTED.fullmatch(each):
                yield from _code(each)  # how a class may be given in short
            else:
                yield from _named(str(inner), each, without)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _named(key, each, without)
    elif isinstance(value, str | Path):
        if key == "task" or (key in _CODE and is_path(str(value))):
            yield from _code(str(value))
        elif key in _FILES or (key == "weights" and str(value) not in pretrained()) or "/" in str(value):
            yield str(value)


def _code(path: str) -> Iterator[str]:
    if not is_known(path):
        yield path
