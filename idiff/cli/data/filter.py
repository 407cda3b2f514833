"""`idiff data filter`: score a set, choose what stays, write it as a set of its own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from idiff.cli.arguments import say
from idiff.cli.data.options import add_build_options, progress
from idiff.errors import ConfigError


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--out", metavar="DIR", required=True, help="folder of the filtered shards, and of the report")
    child.add_argument("--features", metavar="CONFIG", help="YAML of a feature extractor (configs/quality/clip.yaml)")
    child.add_argument("--aesthetic", metavar="FILE", help="weights of an aesthetic predictor on those features")
    child.add_argument("--reference", metavar="DIR", help="shards of good images, for the KNN-GIQA score")
    child.add_argument("--neighbours", metavar="N", type=int, default=5, help="nearest images that GIQA takes (5)")
    child.add_argument("--min-aesthetic", metavar="X", type=float, help="least score of a target (5.5)")
    child.add_argument("--max-difference", metavar="X", type=float, help="largest difference within a pair (0.5)")
    child.add_argument("--min-giqa", metavar="X", type=float, help="least GIQA score (none: see the report first)")
    child.add_argument("--without", metavar="DIR", action="append", default=[], help="drop images of this set, too")
    child.add_argument("--scores", metavar="DIR", help="where scores are kept (OUT/scores)")
    child.add_argument("--part", metavar="I/N", help="score part I (from 0) of N only, write no set; for many machines")
    add_build_options(child)


def run(arguments: argparse.Namespace) -> int:
    """Run the command.

    Args:
        arguments: see `add_arguments`.

    Returns:
        0.

    Raises:
        IdiffError: bad input.
    """
    from idiff.curation.quality.choose import choose
    from idiff.curation.quality.filtered import DROPPED, OWN, PLOT, REPORT, SCORES, write_filtered
    from idiff.curation.quality.scores import score
    from idiff.curation.quality.scoring_choice import scorer_of
    from idiff.data.build.builder import funnel_text, refuse_other_files
    from idiff.data.shards.reader import ShardSet

    _check(arguments)
    shards, out = ShardSet.open(arguments.folder), Path(arguments.out)
    refuse_other_files(out, OWN)
    thresholds = _thresholds(arguments)
    without = {name: ShardSet.open(name) for name in arguments.without}
    rows, settings = None, {}
    if arguments.features:
        scorer = scorer_of(
            arguments.features, aesthetic=arguments.aesthetic, reference=arguments.reference,
            neighbours=arguments.neighbours,
        )  # fmt: skip
        settings = scorer.settings or {}
        part = _part(arguments.part)
        with progress() as bar:
            rows = score(shards, Path(arguments.scores or out / SCORES), scorer, part=part, progress=bar)
        if arguments.part:
            say(f"part {arguments.part} is scored" + ("" if rows is None else "; so are all others"))
            return 0
    choice = choose(shards, rows, thresholds=thresholds, without=without)
    with progress() as bar:
        report = write_filtered(
            shards, choice, out, scores=rows, thresholds=thresholds, settings=settings,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor, progress=bar,
        )  # fmt: skip
    say(funnel_text(choice.steps))
    shown = f"{REPORT}, {DROPPED}" + ("" if rows is None else f", {PLOT}")
    say(f"{out}: {report.manifest.samples:,} of {len(shards):,} samples kept; see {shown} there")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that would have no effect."""
    if not (arguments.features or arguments.without):
        raise ConfigError("idiff data filter: nothing to filter by. Give --features with --aesthetic, or --without.")
    needs = {
        "--features": ("aesthetic", "reference", "part", "scores"), "--aesthetic": ("min_aesthetic", "max_difference"),
        "--reference": ("min_giqa",),
    }  # fmt: skip
    for option, names in needs.items():
        for name in names:
            if getattr(arguments, name) is not None and not getattr(arguments, option.removeprefix("--")):
                raise ConfigError(f"idiff data filter: --{name.replace('_', '-')} needs {option}.")
    if arguments.features and not (arguments.aesthetic or arguments.reference):
        raise ConfigError("idiff data filter: features alone are no score. Give --aesthetic FILE or --reference DIR.")
    if arguments.neighbours < 1:
        raise ConfigError(f"idiff data filter: --neighbours {arguments.neighbours}: expected 1 or more.")


def _thresholds(arguments: argparse.Namespace) -> Any:
    from idiff.curation.quality.choose import Thresholds

    given = {
        "aesthetic": arguments.min_aesthetic, "difference": arguments.max_difference, "giqa": arguments.min_giqa
    }  # fmt: skip
    return Thresholds(**{name: value for name, value in given.items() if value is not None})


def _part(word: str | None) -> tuple[int, int]:
    if word is None:
        return 0, 1
    first, _, second = word.partition("/")
    if not (first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise ConfigError(f"--part {word}: expected I/N with I from 0 to N - 1, such as 0/4.")
    return int(first), int(second)
