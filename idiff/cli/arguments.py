"""A parser of command words whose errors are one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn

from idiff.errors import ConfigError


class WordParser(argparse.ArgumentParser):
    """Argparse that raises instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.prog}: {message}. `{self.prog} --help` lists what there is.")


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
