"""`idiff data filter`: score a set, choose what stays, write it as a set of its own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.cli.data.options import Progress, add_build_options
from idiff.errors import ConfigError, IdiffError

if TYPE_CHECKING:
    from idiff.curation.quality.features import Features
    from idiff.curation.quality.scores import Scorer
    from idiff.data.shards.reader import ShardSet


def add_arguments(child: argparse.ArgumentParser) -> None:
    """Add the options of the command to its parser."""
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--out", metavar="DIR", required=True, help="folder of the filtered shards, and of the report")
    child.add_argument("--features", metavar="CONFIG", help="YAML of a feature extractor (configs/quality/clip.yaml)")
    child.add_argument("--aesthetic", metavar="FILE", help="weights of an aesthetic predictor on those features")
    child.add_argument("--reference", metavar="DIR", help="shards of good pictures, for the KNN-GIQA score")
    child.add_argument("--neighbours", metavar="N", type=int, default=5, help="nearest pictures that GIQA takes (5)")
    child.add_argument("--min-aesthetic", metavar="X", type=float, help="least score of a target (5.5)")
    child.add_argument("--max-difference", metavar="X", type=float, help="largest difference within a pair (0.5)")
    child.add_argument("--min-giqa", metavar="X", type=float, help="least GIQA score (none: see the report first)")
    child.add_argument("--without", metavar="DIR", action="append", default=[], help="drop pictures of this set, too")
    child.add_argument("--scores", metavar="DIR", help="where scores are kept (OUT/scores)")
    child.add_argument("--part", metavar="I/N", help="score part I (from 0) of N only, write no set; for many machines")
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
    from idiff.data.build.builder import funnel_text
    from idiff.curation.quality.choose import choose
    from idiff.curation.quality.filtered import DROPPED, PLOT, REPORT, write_filtered
    from idiff.curation.quality.scores import score
    from idiff.data.shards.reader import ShardSet

    _check(arguments)
    shards, out = ShardSet.open(arguments.folder), Path(arguments.out)
    thresholds = _thresholds(arguments)
    without = {name: ShardSet.open(name) for name in arguments.without}
    rows, settings = None, {}
    if arguments.features:
        scorer = _scorer(arguments)
        settings = scorer.settings or {}
        part = _part(arguments.part)
        with progress() as bar:
            rows = score(shards, Path(arguments.scores or out / "scores"), scorer, part=part, progress=bar)
        if arguments.part:
            _say(f"part {arguments.part} is scored" + ("" if rows is None else "; so are all others"))
            return 0
    choice = choose(shards, rows, thresholds=thresholds, without=without)
    with progress() as bar:
        report = write_filtered(
            shards, choice, out, scores=rows, thresholds=thresholds, settings=settings,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor, progress=bar,
        )  # fmt: skip
    _say(funnel_text(choice.steps))
    shown = f"{REPORT}, {DROPPED}" + ("" if rows is None else f", {PLOT}")
    _say(f"{out}: {report.manifest.samples:,} of {len(shards):,} samples kept; see {shown} there")
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


def _scorer(arguments: argparse.Namespace) -> Scorer:
    from idiff.utils.files import sha256_file
    from idiff.curation.quality.aesthetic import load_head
    from idiff.curation.quality.scores import Scorer
    from idiff.data.shards.reader import ShardSet

    config, features = load_features(Path(arguments.features))
    head = load_head(arguments.aesthetic) if arguments.aesthetic else None
    reference: ShardSet | None = ShardSet.open(arguments.reference) if arguments.reference else None
    settings = {
        "features": config, "weights": features.fingerprint(),
        "aesthetic": sha256_file(Path(arguments.aesthetic)) if arguments.aesthetic else None,
        "reference": reference.fingerprint if reference else None,
        "neighbours": arguments.neighbours if reference else None,
    }  # fmt: skip
    return Scorer(features, head, reference, arguments.neighbours, settings)


def load_features(path: Path) -> tuple[dict[str, Any], Features]:
    """Build the feature extractor that a YAML names.

    Args:
        path: holds `class_path` and `init_args`. A configuration is code: it can name any class.

    Returns:
        what the YAML holds, and the extractor.

    Raises:
        ConfigError: it cannot be read, or what it names is no extractor or takes other arguments.
    """
    import yaml
    from jsonargparse import ArgumentError, ArgumentParser

    from idiff.curation.quality.features import Features
    from idiff.utils.moved import modernised

    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from error
    if not (isinstance(config, dict) and {"class_path"} <= set(config) <= {"class_path", "init_args"}):
        raise ConfigError(
            f"{path}: expected `class_path` and `init_args` of a feature extractor, such as ColorStatistics."
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Features, "features", required=True)
    try:
        built = parser.instantiate(parser.parse_object({"features": modernised(config)})).features
    except (ArgumentError, ValueError) as error:
        if isinstance(error.__cause__, IdiffError):
            raise error.__cause__ from None
        noise = ("Given", "Subtypes", "Expected a <class 'NoneType'>")
        lines = [text for line in str(error).splitlines() if not (text := line.strip(" -")).startswith(noise)]
        expected = f"Expected the class_path and init_args of a {Features.__module__}.Features."
        raise ConfigError(f"{path}: {lines[-1].rstrip('.')}. {expected}") from None
    return config, built


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
