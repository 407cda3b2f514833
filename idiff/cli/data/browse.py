"""`idiff data browse`: a sheet of samples, with what the model sees of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from idiff.cli.arguments import say
from idiff.errors import ConfigError


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--out", metavar="FILE.png", required=True)
    child.add_argument("--count", metavar="N", type=int, default=24, help="samples on the sheet (24)")
    child.add_argument("--seed", metavar="N", type=int, default=0, help="of the choice and of the examples (0)")
    child.add_argument(
        "--task",
        metavar="FILE.yaml",
        help="a task file, such as configs/task/keypoints.yaml (the set's own task, its defaults)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw the sheet. Returns 0; raises IdiffError on bad input."""
    from idiff.curation.browse import browse
    from idiff.data.shards.reader import ShardSet

    if arguments.count < 1:
        raise ConfigError(f"--count {arguments.count}: expected 1 or more.")
    out = Path(arguments.out)
    if out.suffix.lower() != ".png":
        raise ConfigError(f"--out {out}: expected a file named *.png.")
    shards = ShardSet.open(arguments.folder)
    task = _task(arguments.task) if arguments.task else None
    keys = browse(shards, out, count=arguments.count, seed=arguments.seed, task=task)
    say(f"{arguments.out}: {len(keys)} samples, {keys[0]} to {keys[-1]}")
    return 0


def _task(file: str) -> Any:
    """The task of a task file."""
    from idiff.config.compose import compose
    from idiff.config.entries import entries_of

    entry = compose([file])
    if "task" not in entry:
        raise ConfigError(f"{file} holds no `task`: expected a task file, such as one under configs/task.")
    return entries_of({"init_args": {"tasks": {"it": entry}}}, origin=file, files=[file])["it"].task
