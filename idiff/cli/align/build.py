"""`idiff align build`: picks to a set of shards that stage 3 trains on. Its help loads neither torch nor Lightning."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from idiff.cli.arguments import WordParser, at_least_one
from idiff.cli.bar import progress
from idiff.errors import ConfigError, unknown

FIGURES = "agreement.json"


def parser() -> WordParser:
    """Options of `idiff align build`."""
    options = WordParser(
        prog="idiff align build",
        description="Turn picks into editing shards: the chosen candidate as target, and one that lost beside it.",
    )
    add = options.add_argument
    add("folder", metavar="DIR", help="a folder of candidates with picks")
    add("--out", required=True, metavar="DIR", help="folder of the shards")
    add("--annotators", metavar="LIST", help="whose picks count, names with commas between; default: everybody's")
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

    from idiff.alignment.agreement import agreement
    from idiff.alignment.build import PickedEdits, picks_of
    from idiff.alignment.candidates import CandidateFolder
    from idiff.alignment.picks import decisions_by_annotator
    from idiff.data.build.builder import REJECTED, build, funnel_text
    from idiff.utils.files import write_atomic

    folder = CandidateFolder.open(options.folder)
    decisions = decisions_by_annotator(folder.path)
    if options.annotators is not None:
        decisions = {name: decisions[name] for name in _chosen(options.annotators, decisions)}
    counts = {sample: len(folder.read(sample).candidates) for sample in folder.samples()}
    figures = agreement(decisions, counts)
    sys.stdout.write("\n".join(lines(figures)) + "\n")
    picks = picks_of(decisions, counts, rule=options.rule, pairs=options.pairs)
    stages = {
        "samples": len(counts),
        "decided": figures["samples"],
        "with a choice": len({pick.sample for pick in picks}),
    }
    source = PickedEdits(folder, picks, stages=stages)
    chosen = [[pick.sample, pick.chosen, pick.rejected] for pick in picks]
    settings = {
        "rule": options.rule, "pairs": options.pairs, "annotators": sorted(decisions),
        "candidates": _digest(folder.settings), "picks": f"{len(picks)} pairs, {_digest(chosen)}",
    }  # fmt: skip
    with progress("pairs") as show:
        report = build(
            source, options.out, name="align", split=options.split, options=settings,
            shard_size=options.shard_size, progress=show,
        )  # fmt: skip
    write_atomic(Path(options.out) / FIGURES, json.dumps(figures, indent=1).encode() + b"\n")
    sys.stdout.write(funnel_text(report.manifest.funnel) + "\n")
    if report.rejected:
        sys.stdout.write(f"{report.rejected:,} left out, named in {Path(options.out) / REJECTED}\n")
    verb = "written" if report.written else "already there, nothing to do"
    size = f"{len(report.manifest.shards)} shards, {report.manifest.samples:,} samples"
    sys.stdout.write(f"{options.out}: {size}: {verb}\n")
    return 0


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """What `agreement` found, for people."""
    for name, counts in figures["annotators"].items():
        yield f"{name}: {counts['decided']:,} decided, none good in {counts['none_good']:,}, {counts['chosen']:,} chosen"
    if figures["shared"]:
        said = {
            "same best": figures["same_best"],
            "Cohen's kappa": figures["cohen_kappa"],
            "Krippendorff's alpha": figures["krippendorff_alpha"],
        }
        known = ", ".join(f"{label} {value:.3f}" for label, value in said.items() if value is not None)
        yield f"{figures['shared']:,} samples decided by several: {known}"


def _chosen(text: str, decisions: Mapping[str, Any]) -> list[str]:
    names = [word.strip() for word in text.split(",") if word.strip()]
    for name in names:
        if name not in decisions:
            raise unknown("annotator", name, decisions)
    if not names:
        raise ConfigError("--annotators names nobody: give names with commas between.")
    return names


def _digest(value: Any) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
