"""One family of errors. Each says what it got, what it expected, where, and what to do next.

The command line prints the sentence on stderr without a traceback and exits with the error's `exit_code`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path


class IdiffError(Exception):
    """Base of every error that a user can mend. The text is one or two sentences."""

    exit_code = 2


class ConfigError(IdiffError):
    """A configuration or an argument that cannot be used."""


class DataError(IdiffError):
    """Raw data or shards that are missing, damaged or of another layout."""


class BadSampleError(DataError):
    """One sample that cannot be used. It is counted and named as `shard:key: field`, never passed on.

    Args:
        where: shard and key, or file name.
        field: the member or annotation field at fault.
        reason: what was got and what was expected.
    """

    def __init__(self, where: str, field: str, reason: str) -> None:
        super().__init__(f"{where}: {field}: {reason}")
        self.where, self.field, self.reason = where, field, reason

    def __reduce__(self) -> tuple[type[BadSampleError], tuple[str, str, str]]:
        """Worker processes pickle their errors; rebuild from the three parts."""
        return (type(self), (self.where, self.field, self.reason))


class FetchError(DataError):
    """A remote file that cannot be fetched. torch puts a worker's traceback in front of its sentence: this keeps the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().rpartition(f"{FetchError.__name__}: ")[2])


class CheckpointError(IdiffError):
    """Weights that are missing, damaged, or of another model."""


class UntrustedError(CheckpointError):
    """A checkpoint that names code or files which are not of this package, and which nobody has said to trust."""


class ServiceError(IdiffError):
    """A service on the network that cannot be reached, refuses, or gives no usable answer."""


class CheckFailedError(IdiffError):
    """A check that ran and found something wrong."""

    exit_code = 1


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def meant(message: str, options: Iterable[str]) -> str:
    """Return a did-you-mean for what argparse says of an option or a choice, or an empty string.

    Args:
        message: such as `unrecognized arguments: --stpes 3`.
        options: those that the command has.
    """
    option = re.search(r"unrecognized arguments: (?:.* )?(--[^\s=]+)", message)
    choice = re.search(r"invalid choice: '?([^'\s]+)'? \(choose from (.*)\)", message)
    if option:
        return suggest(option[1], options).rstrip("?")
    return suggest(choice[1], re.findall(r"[\w.-]+", choice[2])).rstrip("?") if choice else ""


def unknown(kind: str, word: str, known: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not in a registry.

    Args:
        kind: what the name stands for, such as `source`.
        word: the name that was given.
        known: the names that exist.
    """
    names = sorted(known)
    return ConfigError(f"unknown {kind} '{word}'{suggest(word, names) or '.'} Known: {', '.join(names)}.")


def missing(path: Path | str, *, what: str, remedy: str) -> DataError:
    """Build the error for a file or folder that should be there.

    Args:
        path: where it was looked for.
        what: what should have been there.
        remedy: what to do next.
    """
    return DataError(f"{path} is missing: expected {what}. {remedy}")
