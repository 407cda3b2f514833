"""The short form of a configuration, made long: what a person leaves out, jsonargparse and the checkpoints need.

    model: {lr: 1.0e-3, backbone: {pretrained: tiny}}  ->  model: {init_args: {lr: 1.0e-3, backbone: {class_path: ...}}}
    data: {class_path: MixtureDataModule, tasks: ...}  ->  data: {class_path: idiff.data...., init_args: {tasks: ...}}

Class names need no module. Arguments stand beside `class_path`. An object whose class the parameter's type tells needs no
`class_path`. An entry of a mixture takes the arguments of its task. `root: DIR` stands for `train: DIR/train`, `val: DIR/val`,
and `test: DIR/test` where that exists. `defaults` of a mixture are those of all its entries, over the task files
that these include.

The long form passes through unchanged.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from idiff.config.merge import merge
from idiff.config.sections import classes, sections
from idiff.errors import ConfigError, suggest
from idiff.utils.moved import current
from idiff.utils.settings import ARGUMENTS, CLASS, alternatives, classes_in, named, parameters

KEPT = (CLASS, ARGUMENTS, "dict_kwargs")
"""Keys of an object that are not arguments of its class."""

TASK, ROOT, DEFAULTS = "task", "root", "defaults"
SAMPLED = ("sampling", "validation")
SETS = {"train": "train", "val": "val", "test": "test"}
"""Setting of an entry -> the folder under its `root`."""


class UnknownClassError(ConfigError):
    """A class name without a module that no class of this package has.

    Attributes:
        name: as it was given.
    """

    def __init__(self, name: str, meant: str) -> None:
        super().__init__(f"there is no class '{name}'{meant} Give the name of one of this package, or module.Class.")
        self.name = name


def lengthened(value: Any, hint: Any) -> Any:
    """One file's values with class names completed and arguments under `init_args`, ready to be merged with other files'.

    Args:
        value: plain values; includes are resolved already.
        hint: the type of the parameter that takes them; `ROOT_HINT` for a whole file.

    Raises:
        UnknownClassError: a class name without a module that no class has.
    """
    if isinstance(value, list):
        return [lengthened(item, hint) for item in value]
    if not isinstance(value, Mapping):
        return value
    if hint is ROOT_HINT:
        return _file(value)
    inner = [get_args(member)[1] for member in alternatives(hint) if get_origin(member) in {dict, Mapping}]
    kinds = tuple(classes_in(hint))
    if inner and CLASS not in value:
        return {key: lengthened(item, inner[0]) for key, item in value.items()}
    if not kinds and CLASS not in value:
        return dict(value)
    return _object(value, kinds)


class _RootHint:
    """Stands for a whole file: sections, or the entry of a mixture that a task's file is."""


ROOT_HINT = _RootHint()


def _file(value: Mapping[str, Any]) -> dict[str, Any]:
    hints = _objects(value)
    if TASK in value:  # a file under configs/task
        return dict(_object(value, (_entry(),)))
    return {
        key: lengthened(item, hints[key])
        if key in hints
        else [_file(each) if isinstance(each, Mapping) else each for each in item]
        if key == "stages" and isinstance(item, list)
        else item
        for key, item in value.items()
    }


def _object(value: Mapping[str, Any], kinds: tuple[type, ...]) -> dict[str, Any]:
    """An object of one of some classes, or of one that `class_path` names."""
    whole: dict[str, Any] = {key: value[key] for key in KEPT if value.get(key) is not None}
    given: dict[str, Any] = {key: item for key, item in value.items() if key not in KEPT}
    if CLASS in whole:
        whole[CLASS] = _path(str(whole[CLASS]))
        kind = _class_at(whole[CLASS])
        kinds = kinds if kind is None else (kind,)
    hints = _hints(kinds)
    plain = bool(kinds) and all(map(dataclasses.is_dataclass, kinds))
    if plain and issubclass(kinds[0], _entry()):
        given = _with_task(given, hints)
    inside = whole.get(ARGUMENTS)
    long = {key: lengthened(item, hints.get(key, Any)) for key, item in given.items()}
    if isinstance(inside, Mapping):
        long = merge({key: lengthened(item, hints.get(key, Any)) for key, item in inside.items()}, long)
    if plain and CLASS not in whole:
        return long
    return whole | ({ARGUMENTS: long} if long or isinstance(inside, Mapping) else {})


def _with_task(entry: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a mixture whose other keys are arguments of its task."""
    own = {key: item for key, item in entry.items() if key in hints or key in {ROOT, "include"}}
    others = {key: item for key, item in entry.items() if key not in own}
    if others:
        task = own.get(TASK, {})
        own[TASK] = (dict(task) if isinstance(task, Mapping) else {CLASS: task}) | others
    return own


def completed(config: dict[str, Any]) -> dict[str, Any]:
    """A merged configuration with what only its whole can tell: classes by type, `defaults` and `root` of a mixture."""
    hints = _objects(config)
    config = {key: _completed(item, hints[key], fill=False) if key in hints else item for key, item in config.items()}
    data = config.get("data")
    if not (isinstance(data, dict) and isinstance(data.get(ARGUMENTS), dict)):
        return config
    arguments = dict(data[ARGUMENTS])
    defaults = arguments.pop(DEFAULTS, None)
    if isinstance(arguments.get("tasks"), dict):
        over = lengthened(defaults or {}, _entry())  # of a later file than the one that lists the tasks
        arguments["tasks"] = {name: _rooted(merge(entry, over)) for name, entry in arguments["tasks"].items()}
    elif defaults and _samples(data.get(CLASS)):  # one task: only how it is sampled is a matter of the model
        arguments = merge({key: item for key, item in defaults.items() if key in SAMPLED}, arguments)
    return {**config, "data": {**data, ARGUMENTS: _rooted(arguments)}}


def _samples(path: Any) -> bool:
    """Whether a data module takes the settings of sampling itself, as those of one task do."""
    kind = _class_at(str(path))
    return kind is not None and set(SAMPLED) <= parameters(kind).keys()


def _completed(value: Any, hint: Any, *, fill: bool = True) -> Any:
    """Name the class of every object that its parameter's type alone tells."""
    if not isinstance(value, dict):
        return value
    inner = [get_args(member)[1] for member in alternatives(hint) if get_origin(member) in {dict, Mapping}]
    if inner and CLASS not in value:
        return {key: _completed(item, inner[0]) for key, item in value.items()}
    kinds = tuple(classes_in(hint))
    value = dict(value)
    concrete = [kind for kind in kinds if _ours(kind) and not inspect.isabstract(kind)]
    if fill and CLASS not in value and ARGUMENTS in value and len(concrete) == 1:
        value = {CLASS: f"{concrete[0].__module__}.{concrete[0].__qualname__}", **value}
    kind = _class_at(str(value[CLASS])) if CLASS in value else None
    hints = _hints(kinds if kind is None else (kind,))
    if isinstance(value.get(ARGUMENTS), dict):
        value[ARGUMENTS] = _with_default_task(value[ARGUMENTS], kind)
        value[ARGUMENTS] = {key: _completed(item, hints.get(key, Any)) for key, item in value[ARGUMENTS].items()}
        return value
    return {key: item if key in KEPT else _completed(item, hints.get(key, Any)) for key, item in value.items()}


def _with_default_task(arguments: dict[str, Any], kind: type | None) -> dict[str, Any]:
    """Name the task of a data module of one task, where its settings alone are given."""
    task, default = arguments.get(TASK), getattr(kind, "default_task", None)
    if not isinstance(task, dict) or CLASS in task or not inspect.isclass(default):
        return arguments
    return arguments | {
        TASK: {CLASS: _short_names().get(default.__name__, f"{default.__module__}.{default.__qualname__}"), **task}
    }


def _rooted(entry: Any) -> Any:
    """The folders that `root` stands for, where they are not given."""
    if not isinstance(entry, dict) or ROOT not in entry:
        return entry
    entry = dict(entry)
    return sets_under(entry.pop(ROOT)) | entry


def sets_under(root: Any) -> dict[str, str]:
    """The folder of each split under a root.

    Raises:
        ConfigError: it is not one folder.
    """
    if not isinstance(root, str | Path):
        raise ConfigError(f"root is {root!r:.80}: expected one folder, which holds train/ and val/.")
    root = str(root).rstrip("/")
    known = parameters(_entry())
    there = [name for name in SETS if name in known and (name != "test" or Path(root, SETS[name]).is_dir())]
    return {name: f"{root}/{SETS[name]}" for name in there}


def _hints(kinds: Iterable[type]) -> dict[str, Any]:
    """Types of the parameters of some classes and of all that are derived from them."""
    found: dict[str, Any] = {}
    for kind in kinds:
        for one in [kind, *_derived(kind)]:
            for name, each in parameters(one).items():
                found.setdefault(name, each.annotation)
    return found


def _derived(kind: type) -> list[type]:
    below: list[type] = [] if kind is type else type.__subclasses__(kind)
    return [other for each in below for other in (each, *_derived(each))]


def _path(name: str) -> str:
    """The whole class path of a class name."""
    if "." in name:
        return _public(current(name))
    known = _short_names()
    meant = suggest(name, known)
    if name not in known and meant:
        raise UnknownClassError(name, meant)
    return known.get(name, name)


@cache
def _short_names() -> Mapping[str, str]:
    """Class name -> class path, of the classes of this package that a configuration can name."""
    import idiff.stages
    import idiff.tasks

    found = {kind.__name__: f"{kind.__module__}.{kind.__qualname__}" for kind in classes() if _ours(kind)}
    for package in (idiff.tasks, idiff.stages):
        found |= {name: f"{package.__name__}.{name}" for name in package.__all__}
    return found


def _class_at(path: str) -> type | None:
    return named(path, ())


def _public(path: str) -> str:
    """The class path that the package itself uses, of a class of its own; other paths as they are."""
    kind = _class_at(path) if path.startswith("idiff.") else None
    return path if kind is None else _short_names().get(kind.__name__, path)


def _ours(kind: type) -> bool:
    return kind.__module__.startswith("idiff.")


def _objects(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a configuration that hold an object of a class that `class_path` names -> its base class."""
    there = {"model", "data"} & set(config)  # the classes are imported only where there is something to look up
    return {key: sections()[key] for key in there}


def _entry() -> type:
    from idiff.data.loading.training import TaskEntry

    return TaskEntry
