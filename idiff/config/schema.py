"""JSON Schemas of settings in the short form, read from the constructors that take them.

An editor that knows them completes names, shows what each setting means, and underlines what `idiff` would refuse. Classes of
one's own (`own.Stage`) may take anything. The short form itself: `idiff.config.short_form`.
"""

from __future__ import annotations

import collections.abc
import enum
import inspect
import json
import math
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from idiff.config.short_form import DEFAULTS, KEPT, ROOT
from idiff.utils.docstrings import summary, told
from idiff.utils.settings import ARGUMENTS, CLASS, parameters

Schema = dict[str, Any]

FOREIGN = r"^(?!idiff\.).+\."
"""A class path that names a class of another package."""

OTHER_TASK = r"^(?!(.*/)?(task|data)/[a-z]+\.yaml$)"
"""An `include` of an entry that is no task file of the package, so that its arguments are not known."""

PLAIN: Mapping[Any, Schema] = {
    bool: {"type": "boolean"}, int: {"type": "integer"}, float: {"type": "number"}, str: {"type": "string"},
    types.NoneType: {"type": "null"},
}  # fmt: skip
INCLUDE: Schema = {
    "description": "YAML files that are read first, relative to this one; the keys beside it go over them.",
    "type": ["string", "array"], "items": {"type": "string"},
}  # fmt: skip


class Definitions:
    """Schemas of types; those of classes are kept by name, and referred to.

    Attributes:
        found: name -> schema, for `$defs`.
    """

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def of(self, hint: Any) -> Schema:
        """The schema of a parameter's type; of one that no YAML can tell, a schema that takes all."""
        origin, inner = get_origin(hint), get_args(hint)
        if origin is Annotated:
            hint = inner[0]
            origin, inner = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            return _any_of([self.of(member) for member in inner])
        if origin is Literal:
            return {"enum": list(inner)}
        if origin in {list, tuple, set, collections.abc.Sequence, collections.abc.Iterable}:
            return {"type": "array"} | ({"items": self.of(inner[0])} if inner and len({*inner} - {...}) == 1 else {})
        if origin in {dict, collections.abc.Mapping}:
            return {"type": "object", "additionalProperties": self.of(inner[1])}
        return self._single(hint)

    def _single(self, hint: Any) -> Schema:
        """The schema of a type without parts."""
        if hint in PLAIN:
            return dict(PLAIN[hint])
        if not inspect.isclass(hint) or hint in {Any, object}:
            return {}
        if issubclass(hint, enum.Enum):
            return {"enum": [each.name for each in hint]}
        if issubclass(hint, PurePath):
            return {"type": "string"}
        return self.reference(hint) if ours(hint) else {"type": ["object", "string"]}

    def reference(self, kind: type) -> Schema:
        """A reference to the schema of an object of a class or of one that is derived from it."""
        if kind.__name__ not in self.found:
            self.found[kind.__name__] = {}  # a class may hold others of its kind
            self.found[kind.__name__] = self._entry(kind) if kind.__name__ == "TaskEntry" else self._object(kind)
        return {"$ref": f"#/$defs/{kind.__name__}"}

    def settings(self, kinds: Iterable[type]) -> dict[str, Schema]:
        """Name -> schema of the constructor parameters of some classes; one of several types may have any of them."""
        seen: dict[str, list[Schema]] = {}
        for kind in kinds:
            words = told(kind)
            for name, each in parameters(kind).items():
                schema = self.of(each.annotation)
                if each.default is not None and _in_json(each.default):
                    schema = schema | {"default": each.default}
                text = re.split(r"(?<=\.)\s", words.get(name, ""))[0] if not ours(kind) else words.get(name, "")
                seen.setdefault(name, []).append(schema | ({"description": text} if text else {}))
        return {name: _same(some) for name, some in sorted(seen.items())}

    def _object(self, kind: type) -> Schema:
        """An object whose class `class_path` names, with its arguments beside it or under `init_args`."""
        kinds = concrete(kind)
        properties = self.settings(kinds)
        if kind.__name__ == "LightningDataModule":
            entry = self.reference(entry_class())
            properties |= {
                ROOT: {"type": "string", "description": "Stands for train: ROOT/train, val: ROOT/val, test: ROOT/test."},
                DEFAULTS: entry | {"description": "Settings of all tasks, over the files that these include."},
                "tasks": {"type": "object", "additionalProperties": entry,
                          "description": "Name of the curves -> a task and its data, or the path of a task file."},
            }  # fmt: skip
        extra = {ROOT, DEFAULTS, "tasks"} & set(properties)
        rules = [
            {"if": class_is(rf"^(idiff\..*\.)?{one.__name__}$"),
             "then": {"propertyNames": {"enum": _names(parameters(one), extra)}}} for one in kinds
        ]  # fmt: skip
        known = {
            "properties": {ARGUMENTS: {"$ref": f"#/$defs/{kind.__name__}"}, **properties},
            "propertyNames": {"enum": _names(properties)},
        }
        return {
            "description": summary(kind),
            "type": ["object", "string", "null"],
            "properties": {
                CLASS: {
                    "description": "The class: a name of this package, or module.Class of one's own.",
                    "anyOf": [{"enum": [one.__name__ for one in kinds]}, {"type": "string", "pattern": r"\."}],
                },
                ARGUMENTS: {"type": "object"},
                "include": INCLUDE,
            },
            "if": class_is(FOREIGN),
            "then": {},
            "else": known | ({"allOf": rules} if len(rules) > 1 else {}),
        }

    def _entry(self, kind: type) -> Schema:
        """A task of a mixture or a task file: arguments of the task may stand beside those of the entry."""
        own = self.settings([kind])
        task = parameters(kind)["task"].annotation
        arguments = self.settings(concrete(task))
        foreign = {"required": ["task"], "properties": {"task": {"anyOf": [
            {"type": "string", "pattern": FOREIGN}, class_is(FOREIGN)]}}}  # fmt: skip
        other = {
            "required": ["include"],
            "properties": {"include": {"not": {"type": "string", "not": {"pattern": OTHER_TASK}}}},
        }
        beside: dict[str, Schema] = {
            "include": INCLUDE,
            ROOT: {"type": "string", "description": "Stands for train: ROOT/train, val: ROOT/val, test: ROOT/test."},
        }
        return {
            "description": summary(kind),
            "type": ["object", "string"],  # or the path of a task file
            "properties": own | beside,
            "if": {"anyOf": [foreign, other]},
            "then": {},
            "else": {
                "properties": arguments,
                "propertyNames": {"enum": sorted({*own, *beside, *arguments, "$schema"})},
            },
        }


def concrete(kind: type) -> list[type]:
    """The classes of this package that an object of a kind can be, by name."""
    found: dict[str, type] = {}
    left = [kind]
    while left:
        one = left.pop()
        left += type.__subclasses__(one)
        if ours(one) and not inspect.isabstract(one) and not one.__name__.startswith("_"):
            found[one.__name__] = one
    return [found[name] for name in sorted(found)]


def ours(kind: type) -> bool:
    """Whether a class is of this package."""
    return kind.__module__.startswith("idiff.")


def entry_class() -> type:
    """The class of an entry of a mixture."""
    from idiff.data.loading.training import TaskEntry

    return TaskEntry


def class_is(pattern: str) -> Schema:
    """What holds of an object whose class path is like a pattern."""
    return {"required": [CLASS], "properties": {CLASS: {"type": "string", "pattern": pattern}}}


def _names(*some: Iterable[str]) -> list[str]:
    return sorted({*KEPT, "include", *(name for names in some for name in names)})


def _any_of(schemas: Sequence[Schema]) -> Schema:
    if {} in schemas:
        return {}
    refers = any(
        "$ref" in one for one in schemas
    )  # an object of ours may be null, and says better what is wrong with it
    left = _each_once([one for one in schemas if not (refers and one == PLAIN[types.NoneType])])
    if all(one.keys() == {"type"} for one in left):
        names = [name for one in left for name in (one["type"] if isinstance(one["type"], list) else [one["type"]])]
        return {"type": sorted(set(names))}
    return left[0] if len(left) == 1 else {"anyOf": left}


def _same(schemas: Sequence[Schema]) -> Schema:
    """One schema of the same setting in several classes: its words and default where they agree."""
    alike = _each_once(schemas)
    if len(alike) == 1:
        return alike[0]
    bare = _each_once(
        [{key: value for key, value in one.items() if key not in {"description", "default"}} for one in alike]
    )
    text = next((one["description"] for one in alike if "description" in one), "")
    return (bare[0] if len(bare) == 1 else _any_of(bare)) | ({"description": text} if text else {})


def _each_once(schemas: Sequence[Schema]) -> list[Schema]:
    """Without repetition, in an order of their own: Python keeps one of two unions that differ in order, whichever it met first."""
    return [one for _, one in sorted({json.dumps(one, sort_keys=True): one for one in schemas}.items())]


def _in_json(value: Any) -> bool:
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))
