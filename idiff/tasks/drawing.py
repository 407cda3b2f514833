"""What decides how a task draws its training examples, so that examples drawn before can be told from others."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import idiff.tasks
from idiff.tasks.base import Task
from idiff.tasks.example_pair import ExamplePair
from idiff.tasks.instructions import InstructionBank
from idiff.transforms.augment import Augment
from idiff.utils.foreign import read_regular
from idiff.utils.settings import READING, marks_of, parameters


def drawing_settings(task: Task) -> dict[str, Any]:
    """What a task's images and prompts depend on, as plain values.

    These are its class, the templates of all its instruction banks, its augmentations, and every argument of its constructor that
    is not marked `READING`. A file that an argument names counts by its content.
    """
    if isinstance(task, ExamplePair):
        words = _digest(repr(task.words.templates).encode())
        return drawing_settings(task.wrapped) | {"example": "pair", "all sentences of examples": words}
    known = parameters(type(task))
    drawn = {
        name: _plain(value)
        for name, value in task.settings.items()
        if name not in known or READING not in marks_of(known[name].annotation)
    }
    parts = list(_parts(task, {"idiff", type(task).__module__.partition(".")[0]}, set()))
    banks = [[repr(template) for template in part.templates] for part in parts if isinstance(part, InstructionBank)]
    augments = [part.specs for part in parts if isinstance(part, Augment)]
    name = type(task).__name__
    public = getattr(idiff.tasks, name, None) is type(task)
    return {
        "class": f"idiff.tasks.{name}" if public else _path(type(task)),
        "all sentences": _digest(repr(banks).encode()),  # the spaces keep these two apart from arguments
        "all augmentations": _digest(repr(augments).encode()),
        **drawn,
    }


def _parts(value: Any, packages: set[str], seen: set[int]) -> Iterator[InstructionBank | Augment]:
    """Banks and augmentations that a task holds, directly or within objects of its own package."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, InstructionBank | Augment):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _parts(each, packages, seen)
    elif type(value).__module__.partition(".")[0] in packages:
        names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
        for name in names:
            if name != "settings" or not isinstance(value, Task):  # arguments count as they were given
                yield from _parts(getattr(value, name, None), packages, seen)


def _plain(value: Any) -> Any:
    """A value as JSON has it; the same for equal values in every process."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | Path):
        file = Path(value)
        return f"file {_digest(read_regular(file))}" if _is_file(file) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [_plain(each) for each in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value)
    if callable(getattr(value, "tolist", None)):  # arrays and tensors
        return value.tolist()
    if inspect.isclass(value) or inspect.isroutine(value):
        return _path(value)
    held = getattr(value, "__dict__", None)
    return repr(value) if held is None else {"class": _path(type(value)), **_plain(held)}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that can be no path
        return False


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _path(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
