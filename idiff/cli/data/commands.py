"""`idiff data`: build, check, count, look at and index shards. Its help loads neither torch nor Lightning."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idiff.cli.data import cache
from idiff.cli.data import inpaint
from idiff.cli.data import filter as filters
from idiff.cli.data.options import add_build_options
from idiff.cli.arguments import WordParser
from idiff.errors import ConfigError, DataError

MAX_LINES = 200
"""Faults that `check` prints; it counts the rest."""


def run(argv: list[str]) -> int:
    """Run `idiff data ...`.

    Args:
        argv: the words after `data`.

    Returns:
        0 done, 1 a check found something wrong.

    Raises:
        IdiffError: bad input, to be printed as one sentence; the process then exits with its `exit_code`.
    """
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    command: Callable[[argparse.Namespace], int] = arguments.command
    return command(arguments)


def _parser() -> WordParser:
    parser = WordParser(prog="idiff data", description="Raw data sets to shards, and what to do with shards.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text)
        child.set_defaults(command=command)
        return child

    add("sources", _sources, "the sources and the layout each expects")
    child = add("build", _build, "turn a raw data set into shards; run again, it goes on where it was")
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
    child = add("check", _check, "exit 0; or 1 and what is wrong, by shard and key")
    child.add_argument("folder", metavar="DIR")
    child = add("stats", _stats, "count samples, items, classes and joints")
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--json", action="store_true", help="for programs")
    child = add("browse", _browse, "a sheet of samples with their labels or joints")
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--out", metavar="FILE.png", required=True)
    child.add_argument("--count", metavar="N", type=int, default=24, help="samples on the sheet (24)")
    child.add_argument("--seed", metavar="N", type=int, default=0, help="of the choice (0)")
    child = add("filter", _filter, "score pictures, and write those that are good enough as a set of their own")
    filters.add_arguments(child)
    child = add("inpaint", _inpaint, "editing pairs out of masks: objects are removed, added and replaced")
    inpaint.add_arguments(child)
    child = add("overlap", _overlap, "exit 0; or 1 and the pictures that two sets share, by shard and key")
    child.add_argument("train", metavar="TRAIN")
    child.add_argument("val", metavar="VAL")
    child = add("cache", cache.run, "draw views of training sets and encode them once, to train from")
    cache.add_arguments(child)
    child = add("index", _index, "index shards that another program wrote in this schema")
    child.add_argument("folder", metavar="DIR")
    child.add_argument("--meta", metavar="FILE", help="JSON with `classes` or `skeletons`, shared by the set")
    child.add_argument("--split", metavar="NAME", default="train", help="for the manifest (train)")
    child.add_argument("--task", metavar="NAME", help="what the set is for, where its samples do not tell")
    child.add_argument("--unit", metavar="NAME", help="the task's item: picture, instances or phrases")
    return parser


def _sources(arguments: argparse.Namespace) -> int:
    from idiff.data.sources import SOURCES

    for name, entry in SOURCES.items():
        options = [f"--{key}" for key in entry.required] + [f"[--{key}]" for key in entry.optional]
        _say(f"{name}  {' '.join(options)}")
        _say("".join(f"    {line}\n" for line in entry.layout.splitlines()))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from idiff.data.build.builder import REJECTED, build, funnel_text
    from idiff.data.sources import create

    names = ("root", "split", "annotations", "images", "targets", "variant", "fold", "task", "count", "seed", "size")
    options = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    source = create(arguments.source, options)
    paths = {"root", "annotations", "images", "targets", "fold"}
    stored = {name: str(Path(value).resolve()) if name in paths else value for name, value in options.items()}
    with _progress() as progress:
        report = build(
            source, arguments.out, name=arguments.source, split=arguments.split, options=stored, limit=arguments.limit,
            shard_size=arguments.shard_size, workers=arguments.workers, executor=arguments.executor,
            progress=progress,
        )  # fmt: skip
    contents = report.manifest
    _say(funnel_text(contents.funnel))
    if report.rejected:
        _say(f"{report.rejected:,} left out, named in {Path(arguments.out) / REJECTED}")
    if report.resized:
        targets = f"{report.resized:,} target{'s' if report.resized > 1 else ''}"
        _say(f"{targets} resized to the source, of the same shape within 1 %: see target_resized_from")
    verb = "written" if report.written else "already there, nothing to do"
    size = f"{len(contents.shards)} shards, {contents.samples:,} samples, {contents.items:,} items"
    _say(f"{arguments.out}: {size}: {verb}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from idiff.data.shards.check import check
    from idiff.data.shards.remote import folder_at

    faults = 0
    for line in check(arguments.folder):
        faults += 1
        if faults <= MAX_LINES:
            _say(line)
    if faults:
        _say(f"{arguments.folder}: {faults:,} faults" + (f", {MAX_LINES} shown" if faults > MAX_LINES else ""))
        return 1
    contents = folder_at(arguments.folder).manifest()
    _say(f"{arguments.folder}: sound; {len(contents.shards)} shards, {contents.samples:,} samples")
    return 0


def _stats(arguments: argparse.Namespace) -> int:
    from idiff.data.shards.reader import ShardSet
    from idiff.curation.stats import stats

    result = stats(ShardSet.open(arguments.folder))
    if arguments.json:
        _say(json.dumps(result, indent=2))
    else:
        _say("\n".join(_lines(result)))
    return 0


def _browse(arguments: argparse.Namespace) -> int:
    from idiff.curation.browse import browse
    from idiff.data.shards.reader import ShardSet

    if arguments.count < 1:
        raise ConfigError(f"--count {arguments.count}: expected 1 or more.")
    keys = browse(ShardSet.open(arguments.folder), Path(arguments.out), count=arguments.count, seed=arguments.seed)
    _say(f"{arguments.out}: {len(keys)} samples, {keys[0]} to {keys[-1]}")
    return 0


def _filter(arguments: argparse.Namespace) -> int:
    return filters.run(arguments, _progress)


def _inpaint(arguments: argparse.Namespace) -> int:
    return inpaint.run(arguments, _progress)


def _overlap(arguments: argparse.Namespace) -> int:
    from idiff.data.shards.overlap import lines, overlap
    from idiff.data.shards.reader import ShardSet

    train, val = ShardSet.open(arguments.train), ShardSet.open(arguments.val)
    found = overlap(train, val)
    for line in lines(train, val, found.pairs[:MAX_LINES]):
        _say(line)
    if found.renamed:
        keys = "1 key names" if found.renamed == 1 else f"{found.renamed:,} keys name"
        _say(f"{keys} different pictures in the two sets, which does no harm")
    if found.pairs:
        shown = f", {MAX_LINES} shown" if len(found.pairs) > MAX_LINES else ""
        _say(
            f"{len(found.pairs):,} pairs of one picture{shown}. `idiff data filter TRAIN --without VAL` takes them out."
        )
        return 1
    _say(f"no picture of {arguments.val} is in {arguments.train}")
    return 0


def _index(arguments: argparse.Namespace) -> int:
    from idiff.data.shards.annotation import parse_json
    from idiff.data.build.foreign import index_folder

    meta: Any = {}
    if arguments.meta:
        try:
            meta = parse_json(Path(arguments.meta).read_bytes())
        except (OSError, ValueError) as error:
            raise DataError(f"{arguments.meta} cannot be read as JSON: {error}.") from error
        if not isinstance(meta, dict):
            raise DataError(f"{arguments.meta}: expected an object with `classes` or `skeletons`.")
    tasks = [arguments.task] if arguments.task else []
    contents = index_folder(arguments.folder, meta=meta, split=arguments.split, tasks=tasks, unit=arguments.unit)
    size = f"{len(contents.shards)} shards, {contents.samples:,} samples"
    _say(f"{arguments.folder}: {size}, tasks {', '.join(contents.tasks)}")
    return 0


def _lines(value: Any, indent: str = "") -> Iterator[str]:
    """Nested facts as indented lines; an object of plain values fits on one."""
    for key, part in value.items():
        if not isinstance(part, dict):
            yield f"{indent}{key}: {', '.join(map(str, part)) if isinstance(part, list) else part}"
        elif any(isinstance(inner, dict) for inner in part.values()):
            yield f"{indent}{key}:"
            yield from _lines(part, indent + "  ")
        else:
            yield f"{indent}{key}: " + ", ".join(f"{name} {inner}" for name, inner in part.items())


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("building")
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
