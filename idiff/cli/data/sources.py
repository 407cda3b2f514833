"""`idiff data sources`: what can be built, and the layout each source expects."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(arguments: argparse.Namespace) -> int:
    """Print them. Returns 0."""
    from idiff.data.sources import SOURCES

    for name, entry in SOURCES.items():
        options = [f"--{key}" for key in entry.required] + [f"[--{key}]" for key in entry.optional]
        say(f"{name}  {' '.join(options)}")
        say("".join(f"    {line}\n" for line in entry.layout.splitlines()))
    return 0
