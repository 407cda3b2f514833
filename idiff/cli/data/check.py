"""`idiff data check`: every sample of a set against the schema and its checksums."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import say
from idiff.cli.data.options import MAX_LINES


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")


def run(arguments: argparse.Namespace) -> int:
    """Print what is wrong; 1 where something is. Raises DataError where there is no set."""
    from idiff.data.shards.check import check
    from idiff.data.shards.remote import folder_at

    faults = 0
    for line in check(arguments.folder):
        faults += 1
        if faults <= MAX_LINES:
            say(line)
    if faults:
        shown = f", {MAX_LINES} shown" if faults > MAX_LINES else ""
        say(
            f"{arguments.folder}: {faults:,} faults{shown}. The `idiff data build` that made it builds what is damaged again."
        )
        return 1
    contents = folder_at(arguments.folder).manifest()
    say(f"{arguments.folder}: sound; {len(contents.shards)} shards, {contents.samples:,} samples")
    return 0
