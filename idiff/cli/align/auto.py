"""`idiff align pick DIR --auto METRIC`: picks by a metric. Its help loads neither torch nor Lightning."""

from __future__ import annotations

import sys
import time

from idiff.cli.arguments import WordParser
from idiff.cli.bar import progress
from idiff.cli.own_code import add_trust


def parser() -> WordParser:
    """Options of `idiff align pick --auto`."""
    options = WordParser(
        prog="idiff align pick",
        description="Pick by a metric: up to two candidates of each sample that are better than the unedited source.",
    )
    add = options.add_argument
    add("folder", metavar="DIR", help="a folder of candidates")
    add(
        "--auto",
        required=True,
        metavar="METRIC",
        help="headline (the task's own), another metric of the task such as psnr_inside, or clip_sim",
    )
    add("--annotator", metavar="NAME", help="whose journal is written; default: auto-METRIC")
    add(
        "--least",
        type=int,
        choices=(0, 1, 2),
        default=0,
        help="choose so many of each sample even if none beats the source (0)",
    )
    add("--clip", metavar="FOLDER", help="CLIP model in the hub's format, for clip_sim")
    add("--data", metavar="DIR", help="the shards of the candidates, where they have moved")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Write decisions for all samples that this annotator has not decided about.

    Returns:
        0.

    Raises:
        IdiffError: bad input.
    """
    options = parser().parse_args(words)

    from idiff.alignment.auto import pick_all, scorer_of
    from idiff.alignment.candidates import CandidateFolder
    from idiff.alignment.picks import PickJournal

    folder = CandidateFolder.open(options.folder)
    scorer = scorer_of(folder, options.auto, clip=options.clip, data=options.data, trust=options.trust)
    journal = PickJournal(folder.path, options.annotator or f"auto-{scorer.metric}")
    with progress("samples") as show:
        counts = pick_all(folder, scorer, journal, clock=time.perf_counter, least=options.least, progress=show)
    before = f", {counts['before']:,} were decided before" if counts["before"] else ""
    sys.stdout.write(
        f"{journal.path}: {counts['decided']:,} samples decided by {scorer.metric}, none good in {counts['none_good']:,}{before}\n"
    )
    return 0
