"""`idiff data inpaint`: editing pairs out of a set with masks or label maps."""

from __future__ import annotations

import argparse
from pathlib import Path

from idiff.cli.arguments import say
from idiff.cli.data.options import add_build_options, progress
from idiff.utils.strings import names_in


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="SHARDS", help="a built set with masks of instances or label maps")
    child.add_argument("--out", metavar="DIR", required=True, help="folder of the pairs' shards")
    child.add_argument("--split", metavar="NAME", help="names the shards (that of the set)")
    child.add_argument(
        "--operations", metavar="LIST", default="remove,add,replace", help="which edits (remove,add,replace)"
    )
    child.add_argument("--classes", metavar="LIST", help="only these classes, such as coat,hat (all)")
    child.add_argument(
        "--inpainter", metavar="WHAT", default="cv2", help="cv2, a pipeline's folder, or a YAML file (cv2)"
    )
    child.add_argument("--per-picture", metavar="N", type=int, default=2, help="objects of an image at most (2)")
    child.add_argument("--min-share", metavar="X", type=float, default=0.005, help="of the image, of an object (0.005)")
    child.add_argument("--max-share", metavar="X", type=float, default=0.25, help="of the image, of an object (0.25)")
    child.add_argument("--seed", metavar="N", type=int, default=0, help="of all choices (0)")
    child.add_argument("--limit", metavar="N", type=int, help="take the first N pairs")
    add_build_options(child)


def run(arguments: argparse.Namespace) -> int:
    """Write the pairs, and say how many of each operation there are. Returns 0; raises IdiffError on bad input."""
    from idiff.curation.inpainting.fill import create
    from idiff.curation.inpainting.inpainting_source import Inpainting
    from idiff.curation.inpainting.write_pairs import build_pairs
    from idiff.data.build.builder import REJECTED, funnel_text
    from idiff.data.shards.reader import ShardSet

    source = Inpainting(
        ShardSet.open(arguments.folder), create(arguments.inpainter), operations=names_in(arguments.operations),
        per_picture=arguments.per_picture, shares=(arguments.min_share, arguments.max_share),
        classes=names_in(arguments.classes or "") or None, seed=arguments.seed,
    )  # fmt: skip
    with progress() as bar:
        report, counts = build_pairs(
            source, arguments.out, split=arguments.split, limit=arguments.limit, shard_size=arguments.shard_size,
            workers=arguments.workers, executor=arguments.executor, progress=bar,
        )  # fmt: skip
    say(funnel_text(report.manifest.funnel))
    say(", ".join(f"{name}: {kept:,} of {planned:,}" for name, (kept, planned) in counts.items()))
    if report.rejected:
        say(f"{report.rejected:,} left out, named in {Path(arguments.out) / REJECTED}")
    return 0
