"""What the commands about shards share: options of building, and a progress bar."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MAX_LINES = 200
"""Faults or pairs that a check prints; it counts the rest."""


def add_build_options(child: argparse.ArgumentParser) -> None:
    """Add the options to a command's parser."""
    child.add_argument("--workers", metavar="N", type=int, default=1, help="processes (1); bytes do not depend on it")
    child.add_argument("--executor", metavar="NAME", default="local", help="local (default), or ray for a Ray cluster")
    child.add_argument("--shard-size", metavar="N", type=int, default=1000, help="samples a shard (1000)")


@contextmanager
def progress(what: str = "building") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where that is a terminal: yields a function to call with (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
