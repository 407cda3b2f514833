"""Settings of classes: markers on constructor parameters, and a walk over a configuration that finds them.

A parameter that needs a word about it carries it: `init_from: Annotated[str | None, WEIGHTS] = None`. Whoever asks (what may change
when a run goes on, what a cache depends on, what a training starts from) reads it from there.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

UNKNOWN: Any = object()
"""Stands for the type of a setting whose class is not known."""

CLASS, ARGUMENTS = "class_path", "init_args"


class Mark(StrEnum):
    """What can be said of a constructor parameter.

    Attributes:
        READING: a task's: says how answers are asked for or read, not what a training example looks like.
        FREE: nothing is learned from it, or it is compared elsewhere: it may differ when a run goes on.
        WEIGHTS: names weights that a training starts from.
    """

    READING = "reading"
    FREE = "free"
    WEIGHTS = "weights"


READING, FREE, WEIGHTS = Mark


class Setting(NamedTuple):
    """One setting of a configuration: dotted path, value, and the marks and the default of the parameter that takes it.

    `default` is `UNKNOWN` where there is none, or the parameter is not known.
    """

    path: str
    value: Any
    marks: frozenset[Mark]
    default: Any = UNKNOWN


@cache
def parameters(kind: type) -> Mapping[str, inspect.Parameter]:
    """Constructor parameters with their types resolved. `**options` stands for the parameters of the next base class."""
    found: dict[str, inspect.Parameter] = {}
    for base in kind.__mro__:
        init = vars(base).get("__init__")
        if init is None:
            continue
        if not inspect.isfunction(init):
            break
        try:
            hints = get_type_hints(init, include_extras=True)
        except (NameError, TypeError, AttributeError):  # a class of another package, typed for its checker alone
            hints = {}
        own = list(inspect.signature(init).parameters.values())[1:]
        for each in own:
            if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}:
                found.setdefault(each.name, each.replace(annotation=hints.get(each.name, Any)))
        if not any(each.kind is each.VAR_KEYWORD for each in own):
            break
    return found


def marks_of(hint: Any) -> frozenset[Mark]:
    """The marks of a parameter's type."""
    return frozenset(each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Mark))


def classes_in(hint: Any) -> Iterator[type]:
    """Classes that a type names, at any depth, builtins left out: `dict[str, TaskEntry] | None` names `TaskEntry`."""
    for member in alternatives(hint):
        if get_args(member):
            for part in get_args(member):
                yield from classes_in(part)
        elif _configurable(member):
            yield member


def reachable(roots: Iterable[type]) -> set[type]:
    """Classes that a configuration can name below some roots.

    These are the roots, the classes of the same package that their parameters name, the loaded subclasses of all of these, and so
    on.
    """
    found: set[type] = set()
    left = list(roots)
    while left:
        kind = left.pop()
        if kind in found:
            continue
        found.add(kind)
        left += type.__subclasses__(kind)
        hints = (each.annotation for each in parameters(kind).values())
        left += [other for hint in hints for other in classes_in(hint) if _package(other) == _package(kind)]
    return found


def walk(
    config: Any, hint: Any = UNKNOWN, *, unknown: Callable[[str], frozenset[Mark]], path: str = ""
) -> Iterator[Setting]:
    """Every setting of a configuration with its marks, outer ones first. Lists are not entered.

    Args:
        config: plain values. A mapping with `class_path` is an object of that class, with its arguments under `init_args` or beside
            it; another one is what `hint` says: an object, or values by name.
        hint: type of `config`.
        unknown: the marks of a setting by its name alone, where its class cannot be imported or does not declare it.
        path: dotted path of `config`.
    """
    if not isinstance(config, Mapping):
        return
    members = list(alternatives(hint))
    kinds = [member for member in members if _configurable(member)]
    inner = [get_args(member)[1] for member in members if get_origin(member) in {dict, Mapping}]
    if CLASS not in config and hint is not UNKNOWN and not kinds:
        for key, value in config.items() if inner else ():
            yield from walk(value, inner[0], unknown=unknown, path=_join(path, key))
        return
    kind = named(config[CLASS], kinds) if CLASS in config else kinds[0] if kinds else None
    known = {} if kind is None else parameters(kind)
    if isinstance(config.get(ARGUMENTS), Mapping):
        config, path = config[ARGUMENTS], _join(path, ARGUMENTS)
    for key, value in config.items():
        if key in {CLASS, ARGUMENTS}:
            continue
        type_, default = (known[key].annotation, known[key].default) if key in known else (UNKNOWN, UNKNOWN)
        default = UNKNOWN if default is inspect.Parameter.empty else default
        yield Setting(_join(path, key), value, marks_of(type_) if key in known else unknown(key), default)
        yield from walk(value, type_, unknown=unknown, path=_join(path, key))


def alternatives(hint: Any) -> Iterator[Any]:
    """The types that a value may have, without marks and `None`."""
    if get_origin(hint) is Annotated:
        yield from alternatives(get_args(hint)[0])
    elif get_origin(hint) in {Union, types.UnionType}:
        for part in get_args(hint):
            yield from alternatives(part)
    elif hint is not types.NoneType:
        yield hint


def _configurable(member: Any) -> bool:
    return inspect.isclass(member) and not get_args(member) and _package(member) not in {"builtins", "typing"}


def named(name: Any, bases: Iterable[type]) -> type | None:
    """A class by `module.Class`, or by the name alone of a loaded subclass; None where there is none."""
    module, _, last = str(name).rpartition(".")
    if not module:
        return next((kind for kind in reachable(bases) if kind.__name__ == last), None)
    try:
        found = getattr(importlib.import_module(module), last)
    except Exception:  # a module may fail in any way; whoever makes the object says how
        return None
    return found if inspect.isclass(found) else None


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _join(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def as_list(setting: Any) -> list[Any]:
    """The objects of a setting that may be a list, one object, or None."""
    return list(setting) if isinstance(setting, list | tuple) else [] if setting is None else [setting]


def plainly(value: Any, hint: Any) -> Any:
    """A value as a parameter of a plain type takes it, without a parser; `UNKNOWN` where that takes one.

    >>> plainly(1, float), plainly("a", str | None), plainly("runs", Mark) is UNKNOWN
    (1.0, 'a', True)
    """
    origin, inside = get_origin(hint), get_args(hint)
    members = [part for part in inside if part is not types.NoneType]
    taken: Any = UNKNOWN
    if origin is Annotated:
        taken = plainly(value, inside[0])
    elif origin in {Union, types.UnionType} and value is None and len(members) < len(inside):
        taken = None
    elif origin in {Union, types.UnionType} and len(members) == 1:
        taken = plainly(value, members[0])
    elif origin is Literal and any(value == each and type(value) is type(each) for each in inside):
        taken = value
    elif origin is list and isinstance(value, list):
        made = [plainly(item, inside[0]) for item in value]
        taken = UNKNOWN if any(item is UNKNOWN for item in made) else made
    elif hint == dict[str, Any] and isinstance(value, dict) and all(type(key) is str for key in value):
        taken = copy.deepcopy(value)
    elif hint is float and type(value) is int:
        taken = float(value)
    elif hint in {bool, int, float, str} and type(value) is hint:
        taken = value
    return taken
