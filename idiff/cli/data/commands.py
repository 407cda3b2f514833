"""`idiff data`: build, check, count, look at and index shards. Its help loads neither torch nor Lightning."""

from __future__ import annotations

from idiff.cli.arguments import WordParser, with_commands

COMMANDS = {
    "sources": "the sources and the layout each expects",
    "build": "turn a raw data set into shards; run again, it goes on where it was",
    "check": "exit 0; or 1 and what is wrong, by shard and key",
    "doctor": "the way from raw images to an epoch, near duplicates; exit 1 where sets share images",
    "stats": "count samples, items, classes and joints",
    "browse": "a sheet of samples with their labels or joints",
    "filter": "score images, and write those that are good enough as a set of their own",
    "inpaint": "editing pairs out of masks: objects are removed, added and replaced",
    "overlap": "exit 0; or 1 and the images that two sets share, by shard and key",
    "cache": "draw views of training sets and encode them once, to train from",
    "index": "index shards that another program wrote in this schema",
}


def run(argv: list[str]) -> int:
    """Run `idiff data ...`.

    Args:
        argv: the words after `data`.

    Returns:
        0 done, 1 a check found something wrong.

    Raises:
        IdiffError: bad input, to be printed as one sentence; the process then exits with its `exit_code`.
    """
    arguments = parser().parse_args(argv)
    code: int = arguments.command(arguments)
    return code


def parser() -> WordParser:
    """Options of all commands."""
    modules = {name: (f"{__package__}.{name}", text) for name, text in COMMANDS.items()}
    return with_commands("idiff data", "Raw data sets to shards, and what to do with shards.", modules)
