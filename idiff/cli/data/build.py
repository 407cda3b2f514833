"""`idiff data build`: a raw data set to shards."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from idiff.cli.arguments import WordParser, say
from idiff.cli.data.options import add_build_options, progress
from idiff.cli.data.source_options import add_source_options, given_options, options_for


def add_arguments(child: WordParser) -> None:
    """Add the options of the command to its parser. Those of the source follow when the words are known."""
    child.add_argument(
        "source", metavar="SOURCE", help="a name from `idiff data sources`, or a class of your own: MODULE.CLASS"
    )
    child.add_argument("--split", metavar="NAME", required=True, help="train, val, ...")
    child.add_argument("--out", metavar="DIR", required=True, help="folder of the shards")
    add_build_options(child)
    child.add_argument("--limit", metavar="N", type=int, help="take the first N samples")
    child.add_argument("--verify", action="store_true", help="compare the input's bytes with those of an earlier build")
    child.epilog = "The options of a source, such as --root: idiff data build SOURCE --help."
    child.prepare = partial(add_source_options, child)


def run(arguments: argparse.Namespace) -> int:
    """Build the shards, or finish what an earlier call began. Returns 0; raises IdiffError on bad input."""
    from idiff.data.build.builder import REJECTED, build, funnel_text
    from idiff.data.build.kept import told
    from idiff.data.sources import create

    known = options_for(arguments.source)
    options = given_options(arguments, known)
    source = create(arguments.source, options)
    stored = {name: known[name].stored(value) for name, value in options.items()}
    name = arguments.source.replace(":", ".")
    with progress() as bar:
        report = build(
            source, arguments.out, name=name, split=arguments.split, options=stored, limit=arguments.limit,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor,
            verify=arguments.verify, progress=bar,
        )  # fmt: skip
    contents = report.manifest
    for note in [*source.notes(), *report.notes]:
        say(note)
    say(funnel_text(contents.funnel))
    if report.rejected:
        say(f"{report.rejected:,} left out, named in {Path(arguments.out) / REJECTED}")
        say(f"most often: {report.reason}")
    if report.resized:
        targets = f"{report.resized:,} target{'s' if report.resized > 1 else ''}"
        say(f"{targets} resized to the source, of the same shape within 1 %: see target_resized_from")
    if report.again:
        say(told(report.again))
    verb = "written" if report.written else "already there, nothing to do"
    size = f"{len(contents.shards)} shards, {contents.samples:,} samples, {contents.items:,} items"
    say(f"{arguments.out}: {size}: {verb}")
    return 0
