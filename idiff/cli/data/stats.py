"""`idiff data stats`: what a set holds."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

from idiff.cli.arguments import say


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--json", action="store_true", help="for programs")


def run(arguments: argparse.Namespace) -> int:
    """Print the counts. Returns 0; raises DataError where there is no set."""
    from idiff.curation.stats import stats
    from idiff.data.shards.reader import ShardSet

    result = stats(ShardSet.open(arguments.folder))
    if arguments.json:
        say(json.dumps(result, indent=2))
    else:
        say("\n".join(_lines(result)))
    return 0


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """Nested facts as indented lines; an object of plain values fits on one."""
    for key, part in value.items():
        if not isinstance(part, dict):
            yield f"{indent}{key}: {', '.join(map(str, part)) if isinstance(part, list) else part}"
        elif any(isinstance(inner, dict) for inner in part.values()):
            yield f"{indent}{key}:"
            yield from _lines(part, indent + "  ")
        else:
            yield f"{indent}{key}: " + ", ".join(f"{name} {inner}" for name, inner in part.items())
