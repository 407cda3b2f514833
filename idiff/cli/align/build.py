"""`idiff align build`: picks to a set of shards that stage 3 trains on. Its help loads neither torch nor Lightning."""

from __future__ import annotations

import sys
from pathlib import Path

from idiff.cli.arguments import WordParser, at_least_one
from idiff.cli.bar import progress
from idiff.utils.strings import names_in


def parser() -> WordParser:
    """Options of `idiff align build`."""
    options = WordParser(
        prog="idiff align build",
        description="Turn picks into editing shards: the chosen candidate as target, and one that lost beside it.",
    )
    add = options.add_argument
    add("folder", metavar="DIR", help="a folder of candidates with picks")
    add("--out", required=True, metavar="DIR", help="folder of the shards")
    add(
        "--annotators",
        type=names_in,
        metavar="LIST",
        help="whose picks count, names with commas between; default: everybody's",
    )
    add(
        "--rule",
        default="union",
        metavar="RULE",
        help="of several annotators: union (anybody's choice, default), or majority (of those who decided about a sample)",
    )
    add(
        "--pairs",
        default="one",
        metavar="HOW",
        help="losers a chosen candidate is paired with: one, drawn by its key (default), or all, each in a sample of its own",
    )
    add("--split", default="train", metavar="NAME", help="names the shards (train)")
    add("--shard-size", type=at_least_one, default=1000, metavar="N", help="samples a shard (1000)")
    return options


def run(words: list[str]) -> int:
    """Build the shards, and write how far the annotators agree to `agreement.json` beside them.

    Returns:
        0.

    Raises:
        IdiffError: bad input, or nothing was chosen.
    """
    options = parser().parse_args(words)

    from idiff.alignment.agreement import agreement, described
    from idiff.alignment.candidates import CandidateFolder
    from idiff.alignment.picked_set import build_picked, write_figures
    from idiff.alignment.picks import decisions_by_annotator
    from idiff.data.build.builder import REJECTED, funnel_text

    folder = CandidateFolder.open(options.folder)
    decisions = decisions_by_annotator(folder.path, options.annotators)
    counts = {sample: len(folder.read(sample).candidates) for sample in folder.samples()}
    figures = agreement(decisions, counts)
    sys.stdout.write("\n".join(described(figures)) + "\n")
    with progress("pairs") as show:
        report = build_picked(
            folder, decisions, counts, options.out, rule=options.rule, pairs=options.pairs, split=options.split,
            shard_size=options.shard_size, progress=show,
        )  # fmt: skip
    write_figures(figures, options.out)
    sys.stdout.write(funnel_text(report.manifest.funnel) + "\n")
    if report.rejected:
        sys.stdout.write(f"{report.rejected:,} left out, named in {Path(options.out) / REJECTED}\n")
    verb = "written" if report.written else "already there, nothing to do"
    size = f"{len(report.manifest.shards)} shards, {report.manifest.samples:,} samples"
    sys.stdout.write(f"{options.out}: {size}: {verb}\n")
    return 0
