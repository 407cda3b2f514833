"""What the commands that write shards share: how many processes, where they run, how large a shard is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager

Progress = Callable[[], AbstractContextManager[Callable[[int, int], None]]]
"""Makes a progress bar: (done, total)."""


def add_build_options(child: argparse.ArgumentParser) -> None:
    """Add the options to a command's parser."""
    child.add_argument("--workers", metavar="N", type=int, default=1, help="processes (1); bytes do not depend on it")
    child.add_argument("--executor", metavar="NAME", default="local", help="local (default), or ray for a Ray cluster")
    child.add_argument("--shard-size", metavar="N", type=int, default=1000, help="samples a shard (1000)")
