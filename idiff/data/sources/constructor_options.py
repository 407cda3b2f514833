"""What a source takes, read from its constructor: names, types, defaults, and the words of its docstring."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from idiff.data.sources.base import Source
from idiff.errors import ConfigError
from idiff.utils.docstrings import told
from idiff.utils.settings import parameters

PATHS = frozenset({"root", "annotations", "images", "targets", "fold"})
"""Options that name a file or folder though they are plain words; others do where their type is `Path`."""

PLAIN = (bool, int, float, str, Path)


@dataclass(frozen=True, slots=True)
class Option:
    """One constructor argument that the command line can give.

    Attributes:
        name: of the argument.
        kind: makes a value of a word: int, float, str, Path; bool for a flag.
        required: it has no default.
        many: it takes a list of values.
        choices: the values it may have; empty: any.
        text: what its docstring says.
    """

    name: str
    kind: Callable[[str], Any]
    required: bool
    many: bool = False
    choices: tuple[Any, ...] = ()
    text: str = ""

    @property
    def flag(self) -> str:
        """`--name`, with dashes."""
        return f"--{self.name.replace('_', '-')}"

    def stored(self, value: Any) -> Any:
        """A value as a build records it: JSON-able, paths in full."""
        if self.many:
            return [self._stored(each) for each in value]
        return self._stored(value)

    def _stored(self, value: Any) -> Any:
        return str(Path(value).resolve()) if self.kind is Path or self.name in PATHS else value


def options_of(source: type[Source], *, name: str) -> dict[str, Option]:
    """The options of a source by argument name, in the order of its constructor.

    An argument with a default of a type that no words can give is left out.

    Args:
        source: the class.
        name: names it in errors.

    Raises:
        ConfigError: an argument without a default has such a type.
    """
    said, found = told(source), {}
    for key, each in parameters(source).items():
        required = each.default is each.empty
        kind, many, choices = _read(each.annotation, each.default)
        if kind is not None:
            found[key] = Option(key, kind, required, many, choices, said.get(key, ""))
        elif required:
            raise ConfigError(
                f"source {name}: its argument {key} is a {each.annotation}, which no option can give. Expected bool, int, "
                "float, str, Path, a Literal or a list of these, or a default."
            )
    return found


def check_given(name: str, given: Mapping[str, Any], known: Mapping[str, Option], *, reads: str) -> None:
    """Refuse options that a source does not take, and say which it lacks.

    Args:
        name: of the source.
        given: argument name -> value.
        known: what it takes.
        reads: ends the sentence about what is lacking, such as the layout of its files.

    Raises:
        ConfigError: an option it does not take, or one that is missing.
    """
    for key in given:
        if key not in known:
            takes = ", ".join(option.flag for option in known.values())
            raise ConfigError(f"source {name} takes no --{key}. It takes {takes or 'no options'}.")
    absent = [option.flag for option in known.values() if option.required and option.name not in given]
    if absent:
        raise ConfigError(f"source {name} needs {' and '.join(absent)}. {reads}")


def _read(hint: Any, default: Any) -> tuple[Callable[[str], Any] | None, bool, tuple[Any, ...]]:
    """(what makes a value of a word, whether there are several values, the values it may have); (None, ...): no word can."""
    if get_origin(hint) is Annotated:
        return _read(get_args(hint)[0], default)
    if get_origin(hint) in {Union, types.UnionType}:
        members = [each for each in get_args(hint) if each is not types.NoneType]
        return _read(Path if Path in members else members[0], default)
    if get_origin(hint) is Literal:
        return type(get_args(hint)[0]), False, get_args(hint)
    if get_origin(hint) in {list, tuple, Sequence}:
        kind, _, choices = _read(get_args(hint)[0], None)
        return kind, True, choices
    if hint is Any:  # no annotation
        hint = type(default) if type(default) in PLAIN else str
    return (hint if hint in PLAIN else None), False, ()
