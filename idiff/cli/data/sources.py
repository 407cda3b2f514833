"""`idiff data sources`: what can be built, and the layout each source expects."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(arguments: argparse.Namespace) -> int:
    """Print them. Returns 0."""
    from idiff.data.sources import SOURCES, installed

    for name, text in (installed() | {name: entry.layout for name, entry in SOURCES.items()}).items():
        say(name)
        say("".join(f"    {line}\n" for line in text.splitlines()))
    say("The options of each: idiff data build SOURCE --help. A source of your own: idiff data build MODULE.CLASS.")
    return 0
