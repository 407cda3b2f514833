"""`idiff data browse`: a sheet of samples."""

from __future__ import annotations

import argparse
from pathlib import Path

from idiff.cli.arguments import say
from idiff.errors import ConfigError


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--out", metavar="FILE.png", required=True)
    child.add_argument("--count", metavar="N", type=int, default=24, help="samples on the sheet (24)")
    child.add_argument("--seed", metavar="N", type=int, default=0, help="of the choice (0)")


def run(arguments: argparse.Namespace) -> int:
    """Draw the sheet. Returns 0; raises IdiffError on bad input."""
    from idiff.curation.browse import browse
    from idiff.data.shards.reader import ShardSet

    if arguments.count < 1:
        raise ConfigError(f"--count {arguments.count}: expected 1 or more.")
    keys = browse(ShardSet.open(arguments.folder), Path(arguments.out), count=arguments.count, seed=arguments.seed)
    say(f"{arguments.out}: {len(keys)} samples, {keys[0]} to {keys[-1]}")
    return 0
