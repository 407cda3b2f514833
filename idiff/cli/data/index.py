"""`idiff data index`: index shards that another program wrote in this schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from idiff.cli.arguments import say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--meta", metavar="FILE", help="JSON with `classes` or `skeletons`, shared by the set")
    child.add_argument("--split", metavar="NAME", default="train", help="for the manifest (train)")
    child.add_argument("--task", metavar="NAME", help="what the set is for, where its samples do not tell")
    child.add_argument("--unit", metavar="NAME", help="the task's item: image, instances or phrases")


def run(arguments: argparse.Namespace) -> int:
    """Write the index. Returns 0; raises IdiffError on bad input."""
    from idiff.data.build.foreign import index_folder, read_meta

    meta = read_meta(Path(arguments.meta)) if arguments.meta else {}
    tasks = [arguments.task] if arguments.task else []
    contents = index_folder(arguments.folder, meta=meta, split=arguments.split, tasks=tasks, unit=arguments.unit)
    size = f"{len(contents.shards)} shards, {contents.samples:,} samples"
    say(f"{arguments.folder}: {size}, tasks {', '.join(contents.tasks)}")
    return 0
