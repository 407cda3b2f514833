"""What a configuration may hold, level by level, in the words of the short form: `model`, `model.backbone`, `data.tasks`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from idiff.config.sections import classes, sections
from idiff.errors import ConfigError, unknown
from idiff.utils.docstrings import summary, told
from idiff.utils.settings import CLASS, classes_in, parameters

WIDTH, COLUMN = 110, 30


def level(path: str) -> str:
    """The settings at a path: each with its default and the first sentence about it.

    Args:
        path: a section, or a setting in it that holds an object, such as `model.backbone`. `data.tasks` are the tasks of a mixture.
            The name of a class may end it: `model.TaskTraining`.

    Raises:
        ConfigError: a name that is none; names the nearest.
    """
    classes()  # the stages and data modules are known once they are imported
    name, *inner = path.split(".")
    if name not in sections():
        raise unknown("section", name, sections())
    kinds = _with_derived([sections()[name]]) if name in {"model", "data"} else [sections()[name]]
    for key in inner:
        by_name = {kind.__name__: kind for kind in kinds}
        hints = {each: parameter.annotation for kind in kinds for each, parameter in parameters(kind).items()}
        if key not in {*hints, *by_name}:
            raise unknown(f"setting of {name}", key, {*hints, *by_name})
        kinds, name = [by_name[key]] if key in by_name else _with_derived(classes_in(hints[key])), f"{name}.{key}"
    if not kinds:
        raise ConfigError(f"{name} holds no object: `--help.{name.rpartition('.')[0]}` says what it is.")
    return "\n".join([f"{name}:", *_lines(kinds)])


def _with_derived(kinds: Iterable[type]) -> list[type]:
    """Classes and all that are derived from them, without those of other packages where there are some of this one."""
    found: list[type] = []
    for kind in kinds:
        found += [each for each in (kind, *_with_derived(type.__subclasses__(kind))) if each not in found]
    return [kind for kind in found if kind.__module__.startswith("idiff.")] or found


def _lines(kinds: list[type]) -> Iterator[str]:
    """Settings of one class, or of several by `class_path`; what an earlier one has alike is named alone."""
    usable = [kind for kind in kinds if not inspect.isabstract(kind) and not kind.__name__.startswith("_")]
    if len(usable) == 1:
        for lines in _settings(usable[0]).values():
            yield from lines
        return
    said: dict[str, list[str]] = {}
    for kind in usable[1:] if issubclass(usable[-1], usable[0]) else usable:
        yield f"  {CLASS}: {kind.__name__}"
        yield from textwrap.wrap(_sentence(summary(kind)), WIDTH, initial_indent="    # ", subsequent_indent="    # ")
        own = _settings(kind)
        alike = [name for name, lines in own.items() if said.get(name) == lines]
        for name in own.keys() - set(alike):
            said.setdefault(name, own[name])
        for name, lines in own.items():
            yield from [] if name in alike else lines
        also = ", ".join(alike)
        yield from textwrap.wrap(also, WIDTH, initial_indent="  # as above: ", subsequent_indent="  # ")


def _settings(kind: type) -> dict[str, list[str]]:
    """Setting -> `name: default  # words` in lines."""
    words, found = told(kind), {}
    for name, each in parameters(kind).items():
        if name == "self":
            continue
        inside = any(one.__module__.startswith("idiff.") for one in classes_in(each.annotation))
        more = " {...}" if inside and each.default in {each.empty, None} else _default(each.default)
        start = f"  {name}:{more}"
        lines = [start] if len(start) >= COLUMN else []
        for line in textwrap.wrap(_sentence(words.get(name, "")), WIDTH - COLUMN - 2):
            lines.append(f"{start if not lines else '':<{COLUMN}}# {line}")
        found[name] = lines or [start]
    return found


def _default(value: Any) -> str:
    """A default as YAML; nothing where there is none, or it is not plain."""
    value = list(value) if isinstance(value, tuple) else value
    if value is inspect.Parameter.empty or not isinstance(value, bool | int | float | str | list | dict | None):
        return ""
    return " " + yaml.safe_dump(value, default_flow_style=True, width=1000).replace("\n...", "").strip()


def _sentence(text: str) -> str:
    return re.split(r"(?<=[.;])\s", text)[0].rstrip(".;")
