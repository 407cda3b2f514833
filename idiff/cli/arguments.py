"""A parser of command words whose errors are one sentence."""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from idiff.errors import ConfigError, meant

WEIGHTS_HELP = "a .ckpt file, a folder (exported, imported, of diffusers), a CompVis file, or a model's name"


class WordParser(argparse.ArgumentParser):
    """Argparse that raises instead of printing its usage.

    Attributes:
        prepare: called with the words before they are parsed; it may add options that depend on them.
    """

    prepare: Callable[[Sequence[str]], None] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words. See `ArgumentParser.parse_known_args`."""
        if self.prepare is not None:
            self.prepare(args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"{self.prog}: {message}{meant(message, self._option_string_actions)}. `{self.prog} --help` lists what there is."
        )


def at_least_one(word: str) -> int:
    """A whole number of 1 or more, for argparse's `type`."""
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {number}, expected 1 or more")
    return number


def not_negative(word: str) -> int:
    """A whole number of 0 or more, for argparse's `type`."""
    number = int(word)
    if number < 0:
        raise argparse.ArgumentTypeError(f"got {number}, expected 0 or more")
    return number


def number_from(least: float) -> Callable[[str], float]:
    """A finite number of `least` or more, for argparse's `type`."""

    def read(word: str) -> float:
        number = float(word)
        if not least <= number < math.inf:
            raise argparse.ArgumentTypeError(f"got {word}, expected a number of {least:g} or more")
        return number

    return read


def counts(words: str) -> list[int]:
    """Whole numbers of 1 or more with commas between, for argparse's `type`."""
    try:
        numbers = [int(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"got '{words}', expected whole numbers of 1 or more with commas between")
    return numbers


def scales(words: str) -> list[float]:
    """Numbers with commas between, for argparse's `type`."""
    try:
        return [float(word) for word in words.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"got '{words}', expected numbers with commas between") from None


def writable(file: Path) -> bool:
    """Whether a file can be written there: its folder exists and can be written, and no folder has its name."""
    return file.parent.is_dir() and not file.is_dir() and os.access(file.parent, os.W_OK)


def with_commands(prog: str, description: str, modules: Mapping[str, tuple[str, str]]) -> WordParser:
    """A parser of commands, each in a module with `add_arguments(parser)` and `run(arguments)`.

    Args:
        prog: the words before the command.
        description: of all of them.
        modules: command -> (module, what it does). All are imported, so that each loads little before it runs.

    Returns:
        a parser whose result has the chosen command's `run` as `command`.
    """
    parser = WordParser(prog=prog, description=description)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, text) in modules.items():
        part = importlib.import_module(module)
        child = commands.add_parser(name, help=text, description=text)
        part.add_arguments(child)
        child.set_defaults(command=part.run)
    return parser


def say(text: str) -> None:
    """Print a line on stdout."""
    sys.stdout.write(text + "\n")
