"""What the commands share that serve a web page."""

from __future__ import annotations

import argparse
import importlib.util
import sys

from idiff.errors import ConfigError


def port(word: str) -> int:
    """A port of this machine, 0 to 65535, for argparse's `type`."""
    number = int(word)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"got {number}, expected 0 to 65535")
    return number


def need_packages(what: str, *names: str) -> None:
    """Refuse a web page whose packages are missing.

    Raises:
        ConfigError: names them, and the extra that brings them.
    """

    def installed(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is not None
        except ValueError:  # it is loaded, or blocked, without a specification
            return sys.modules.get(name) is not None

    lacking = [name for name in names if not installed(name)]
    if lacking:
        raise ConfigError(f'{what} needs {" and ".join(lacking)}: install the extra with pip install "idiff[serve]".')
