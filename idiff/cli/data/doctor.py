"""`idiff data doctor`: from raw images to what an epoch draws, near duplicates, and leaks between sets."""

from __future__ import annotations

import argparse

from idiff.cli.arguments import at_least_one, number_from, say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folders", metavar="DIR", nargs="+", help="sets, such as data/mine/train data/mine/val")
    child.add_argument("--weight", metavar="X", type=number_from(0), default=1.0, help="of the set in its mixture (1)")
    child.add_argument(
        "--most",
        metavar="N",
        type=at_least_one,
        default=20_000,
        help="images of a set that are compared by looks (20000)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was found. Returns 0, or 1 where an image is in two of the sets; raises DataError where there is no set."""
    from idiff.cli.data.options import progress
    from idiff.curation.doctor import examine
    from idiff.errors import ConfigError

    if len(set(arguments.folders)) < len(arguments.folders):
        raise ConfigError("idiff data doctor: a folder is named twice. Name each set once.")
    leak = False
    with progress("looking") as bar:
        for line, told in examine(arguments.folders, weight=arguments.weight, most=arguments.most, progress=bar):
            say(line)
            leak |= told
    return 1 if leak else 0
