"""`idiff data inpaint`: editing pairs out of a set with masks or label maps."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

from idiff.cli.data.options import Progress, add_build_options


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
    child.add_argument("--per-picture", metavar="N", type=int, default=2, help="objects of a picture at most (2)")
    child.add_argument(
        "--min-share", metavar="X", type=float, default=0.005, help="of the picture, of an object (0.005)"
    )
    child.add_argument("--max-share", metavar="X", type=float, default=0.25, help="of the picture, of an object (0.25)")
    child.add_argument("--seed", metavar="N", type=int, default=0, help="of all choices (0)")
    child.add_argument("--limit", metavar="N", type=int, help="take the first N pairs")
    add_build_options(child)


def run(arguments: argparse.Namespace, progress: Progress) -> int:
    """Run the command.

    Args:
        arguments: see `add_arguments`.
        progress: makes a progress bar.

    Returns:
        0.

    Raises:
        IdiffError: bad input.
    """
    from idiff.data.build.builder import REJECTED, build, funnel_text
    from idiff.curation.inpainting.fill import create
    from idiff.curation.inpainting.source import Inpainting
    from idiff.data.shards.reader import ShardSet

    shards = ShardSet.open(arguments.folder)
    operations, classes = _words(arguments.operations), _words(arguments.classes) or None
    shares = (arguments.min_share, arguments.max_share)
    inpainter = create(arguments.inpainter)
    source = Inpainting(
        shards,
        inpainter,
        operations=operations,
        per_picture=arguments.per_picture,
        shares=shares,
        classes=classes,
        seed=arguments.seed,
    )
    options = {
        "of": shards.fingerprint, "operations": operations, "per_picture": arguments.per_picture, "shares": list(shares),
        "classes": classes,
        "seed": arguments.seed, "inpainter": dict(inpainter.facts),
    }  # fmt: skip
    split = arguments.split or shards.manifest.split
    with progress() as bar:
        report = build(
            source, arguments.out, name="inpaint", split=split, options=options, limit=arguments.limit,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor,
            progress=bar,
        )  # fmt: skip
    lines = [funnel_text(report.manifest.funnel)]
    rejected = Path(arguments.out) / REJECTED
    out_of = Counter(source.operation(index) for index in range(min(len(source), arguments.limit or len(source))))
    left = Counter(
        source.operation(json.loads(line)["index"])
        for line in (rejected.read_text().splitlines() if report.rejected else [])
    )
    lines.append(", ".join(f"{name}: {out_of[name] - left[name]:,} of {out_of[name]:,}" for name in operations))
    if report.rejected:
        lines.append(f"{report.rejected:,} left out, named in {rejected}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _words(text: str | None) -> list[str]:
    """The words of a list with commas."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]
