"""`idiff data build`: a raw data set to shards."""

from __future__ import annotations

import argparse
from pathlib import Path

from idiff.cli.arguments import say
from idiff.cli.data.options import add_build_options, progress


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("source", metavar="SOURCE", help="a name from `idiff data sources`")
    child.add_argument("--root", metavar="DIR", help="folder of the raw data set")
    child.add_argument("--split", metavar="NAME", required=True, help="train, val, ...")
    child.add_argument("--out", metavar="DIR", required=True, help="folder of the shards")
    add_build_options(child)
    child.add_argument("--limit", metavar="N", type=int, help="take the first N samples")
    child.add_argument(
        "--annotations", metavar="PATH", help="annotations (label maps: their folder) that are elsewhere"
    )
    child.add_argument("--images", metavar="DIR", help="pictures that are not in their usual place")
    child.add_argument("--targets", metavar="DIR", help="clean pictures of pairs, where --images are the damaged ones")
    child.add_argument(
        "--variant", metavar="NAME", help="which of several damaged versions a set has, such as blur_gamma"
    )
    child.add_argument("--fold", metavar="FILE", help="labels to fewer classes: a line `name: label, label` for each")
    child.add_argument("--task", metavar="NAME", help="which task the set is for, where it could serve several")
    child.add_argument("--count", metavar="N", type=int, help="synthetic: number of scenes")
    child.add_argument("--seed", metavar="N", type=int, help="synthetic, folder: seed of the set")
    child.add_argument("--size", metavar="N", type=int, help="synthetic: side of the pictures in pixels (64)")


def run(arguments: argparse.Namespace) -> int:
    """Build the shards, or finish what an earlier call began. Returns 0; raises IdiffError on bad input."""
    from idiff.data.build.builder import REJECTED, build, funnel_text
    from idiff.data.sources import create

    names = ("root", "split", "annotations", "images", "targets", "variant", "fold", "task", "count", "seed", "size")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    source = create(arguments.source, options)
    paths = {"root", "annotations", "images", "targets", "fold"}
    stored = {name: str(Path(value).resolve()) if name in paths else value for name, value in options.items()}
    with progress() as bar:
        report = build(
            source, arguments.out, name=arguments.source, split=arguments.split, options=stored, limit=arguments.limit,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor,
            progress=bar,
        )  # fmt: skip
    contents = report.manifest
    say(funnel_text(contents.funnel))
    if report.rejected:
        say(f"{report.rejected:,} left out, named in {Path(arguments.out) / REJECTED}")
    if report.resized:
        targets = f"{report.resized:,} target{'s' if report.resized > 1 else ''}"
        say(f"{targets} resized to the source, of the same shape within 1 %: see target_resized_from")
    verb = "written" if report.written else "already there, nothing to do"
    size = f"{len(contents.shards)} shards, {contents.samples:,} samples, {contents.items:,} items"
    say(f"{arguments.out}: {size}: {verb}")
    return 0
