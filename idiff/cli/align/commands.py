"""`idiff align`: candidates of edits, the picks of people among them, and shards of the picks (InstructDiffusion, section 3.3)."""

from __future__ import annotations

import importlib
import sys

from idiff.errors import unknown

PARTS = {
    "generate": ("idiff.cli.align.generate", "paint several candidates for each prompt of a shard set"),
    "pick": ("idiff.cli.align.pick", "choose the best none to two on a web page; --auto METRIC: by a metric"),
    "build": ("idiff.cli.align.build", "turn the picks into a shard set to train on"),
}


def usage() -> str:
    """The text of `idiff align --help`."""
    width = max(map(len, PARTS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in PARTS.items()]
    return "\n".join(["usage: idiff align COMMAND ...", "", *lines, "", "idiff align COMMAND --help says more.", ""])


def run(words: list[str]) -> int:
    """Run `idiff align ...`. Only the part that is named is imported.

    Args:
        words: the words after `align`.

    Returns:
        the exit code of the part.

    Raises:
        IdiffError: bad input.
    """
    if not words or words[0] in {"-h", "--help"}:
        sys.stdout.write(usage())
        return 0 if words else 2
    if words[0] not in PARTS:
        raise unknown("command of idiff align", words[0], PARTS)
    code: int = importlib.import_module(PARTS[words[0]][0]).run(words[1:])
    return code
