"""Words of a command line that set parts of the data, in the forms that a file knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from idiff.config.short_form import ROOT, TASK, sets_under
from idiff.errors import ConfigError, unknown

OPTION = re.compile(r"(--data(?:\.init_args)?(?:\.tasks\.([^.=]+))?)\.(\w+).*")
"""`--data.tasks.NAME.SETTING` of a mixture, `--data.SETTING` of one task."""


def long_words(words: Iterable[str], settings: Mapping[str, Any]) -> list[str]:
    """The words with `--data.tasks.NAME.root DIR` made long, as it is in a file.

    Args:
        words: of the command line, without its configurations.
        settings: of these, merged and in the long form; empty where there is none.

    Raises:
        ConfigError: a word sets something of a task that the configuration does not have, or a root has no folder.
    """
    return list(_long(iter(words), settings))


def _long(words: Iterator[str], settings: Mapping[str, Any]) -> Iterator[str]:
    tasks = _tasks(settings.get("data"))
    given = set()
    for word in words:
        option, equals, value = word.partition("=")
        found = OPTION.fullmatch(option)
        if found is None:
            yield word
            continue
        section, task, name = found.groups()
        given |= {task} if name == TASK else set()
        if task is not None and tasks and task not in {*tasks, *given}:
            raise unknown("task", task, tasks)
        if name != ROOT:
            yield word
            continue
        root = value if equals else next(words, "")
        if not root or root.startswith("--"):
            raise ConfigError(f"{option} is followed by no folder: expected one that holds train/ and val/.")
        for split, folder in sets_under(root).items():
            yield from (f"{section}.{split}", folder)


def _tasks(data: Any) -> list[str]:
    """Names of the tasks that a configuration has."""
    arguments = data.get("init_args") if isinstance(data, Mapping) else None
    tasks = arguments.get("tasks") if isinstance(arguments, Mapping) else None
    return list(tasks) if isinstance(tasks, Mapping) else []
