"""`idiff data overlap`: images that two sets share."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import say
from idiff.cli.data.options import MAX_LINES


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("train", metavar="TRAIN")
    child.add_argument("val", metavar="VAL")


def run(arguments: argparse.Namespace) -> int:
    """Print the pairs; 1 where there are some. Raises DataError where there is no set."""
    from idiff.data.shards.overlap import lines, overlap
    from idiff.data.shards.reader import ShardSet

    train, val = ShardSet.open(arguments.train), ShardSet.open(arguments.val)
    found = overlap(train, val)
    for line in lines(train, val, found.pairs[:MAX_LINES]):
        say(line)
    if found.renamed:
        keys = "1 key names" if found.renamed == 1 else f"{found.renamed:,} keys name"
        say(f"{keys} different images in the two sets, which does no harm")
    if found.pairs:
        shown = f", {MAX_LINES} shown" if len(found.pairs) > MAX_LINES else ""
        say(f"{len(found.pairs):,} pairs of one image{shown}. `idiff data filter TRAIN --without VAL` takes them out.")
        return 1
    say(f"no image of {arguments.val} is in {arguments.train}")
    return 0
