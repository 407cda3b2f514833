"""Settings of a saved task that say how its answers are asked for, read or scored, as words of a command: `crop=eigen`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from idiff.errors import ConfigError, suggest
from idiff.tasks.base import Task
from idiff.utils.plain_yaml import parse_yaml
from idiff.utils.settings import READING, alternatives, marks_of, parameters


def readings(words: Iterable[str]) -> dict[str, Any]:
    """Settings by name; a value is read as YAML.

    >>> readings(["crop=eigen", "cap=10"])
    {'crop': 'eigen', 'cap': 10}

    Raises:
        ConfigError: a word of another form, or a name twice.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name.isidentifier() and equals):
            raise ConfigError(f"--set {word}: expected NAME=VALUE, such as crop=eigen.")
        if name in found:
            raise ConfigError(f"--set {word}: {name} is set twice. Give it once.")
        try:
            found[name] = parse_yaml(text)
        except ValueError as error:
            raise ConfigError(f"--set {word}: the value is not YAML ({str(error).splitlines()[0]}).") from None
    return found


def check_readings(task: Task, given: Mapping[str, Any]) -> None:
    """Refuse settings that a training depends on, which cannot be changed afterwards.

    Raises:
        ConfigError: one of them, and names those that can be set; or a switch that is neither on nor off.
    """
    known = parameters(type(task))
    free = [name for name, each in known.items() if READING in marks_of(each.annotation)]
    for name, value in given.items():
        if name not in free:
            raise ConfigError(
                f"--set {name}: the model was trained with it, so it cannot be changed{suggest(name, free) or '.'} "
                f"Can be set: {', '.join(free)}."
            )
        if list(alternatives(known[name].annotation)) == [bool] and not isinstance(value, bool):
            raise ConfigError(f"--set {name}: got {value!r}, expected true or false.")
