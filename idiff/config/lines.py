"""Where a setting stands: the file and the line, looked up when something is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from idiff.utils.foreign import read_text
from idiff.utils.settings import ARGUMENTS

PASSED = {ARGUMENTS, "dict_kwargs", "task"}
"""Steps of a setting's path that the short form leaves out."""


class Place(NamedTuple):
    """A key of a file: its path in the whole configuration, and the value beside it where that is no mapping or list."""

    path: tuple[str, ...]
    value: str | None
    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def place_of(files: Sequence[str], path: str, *, value: str | None = None) -> Place | None:
    """The key that sets something, the last one where several do.

    Args:
        files: configuration files as they were given; what they include is looked through, too.
        path: dotted, in the long or the short form; steps may be left out, but for the last.
        value: what it is set to; None: whatever.

    Returns:
        None where no file sets it, as where the command line does.
    """
    wanted = _plain(path.split("."))
    found = [place for place in places(files) if value is None or place.value == value]
    same = [place for place in found if _plain(place.path) == wanted]
    near = [
        place for place in found if place.path[-1] == path.rpartition(".")[2] and _is_part(wanted, _plain(place.path))
    ]
    return next(reversed(same or near), None)


def place_of_value(files: Sequence[str], value: str) -> Place | None:
    """The last key that has a value."""
    return next((place for place in reversed(list(places(files))) if place.value == value), None)


def places(files: Sequence[str]) -> Iterator[Place]:
    """Every key of some files and of those that they include, later ones over earlier ones. What cannot be read is passed over."""
    for file in files:
        yield from _in_file(Path(file), (), ())


def _in_file(file: Path, prefix: tuple[str, ...], above: tuple[Path, ...]) -> Iterator[Place]:
    if file.resolve() in above:
        return
    try:
        node = yaml.compose(read_text(file), Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return
    yield from _in_node(node, file, prefix, (*above, file.resolve()))


def _in_node(node: yaml.Node | None, file: Path, prefix: tuple[str, ...], above: tuple[Path, ...]) -> Iterator[Place]:
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _in_node(each, file, prefix, above)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in sorted(node.value, key=lambda pair: pair[0].value != "include"):
        path = (*prefix, str(key.value))
        if key.value == "include":
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in parts:
                yield from _in_file(file.parent / str(part.value), prefix, above)
            continue
        scalar = isinstance(value, yaml.ScalarNode)
        yield Place(path, str(value.value) if scalar else None, file, key.start_mark.line + 1)
        if scalar and prefix[-1:] == ("tasks",):
            yield from _in_file(file.parent / str(value.value), path, above)
        yield from _in_node(value, file, path, above)


def _plain(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(step for step in path if step not in PASSED)


def _is_part(steps: Sequence[str], of: Sequence[str]) -> bool:
    """Whether some steps are among others, in their order."""
    left = iter(of)
    return all(step in left for step in steps)
