"""`idiff data doctor`: from raw images to what an epoch draws, and what is wrong with some sets."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, pairwise
from pathlib import Path

from idiff.curation.near_duplicates import Looks, alike, looks_of
from idiff.data.build.builder import REJECTED, funnel_text
from idiff.data.shards.overlap import overlap
from idiff.data.shards.reader import ShardSet

SHOWN = 5
"""Keys or pairs that are named; the rest are counted."""

REMEDIES = (
    (r"cannot be read|missing|no member|has no", "Put the file there, or take its entry out of the list."),
    (
        r"decoded|damaged|ends after|mode|not JSON|unpacked",
        "Fetch or save the file again; `idiff data sources` lists the formats.",
    ),
    (r"pixels|shape|aspect|size", "Export it at the size of its image."),
    (r"no name|value", "Correct the list of classes, or the map."),
    (r"bytes, expected at most", "Save it smaller."),
    (r"", "Correct the entry, or leave it out."),
)
"""What a reason is like -> what to do; then the same build is run again, which tries once more what was left out."""

VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^\s,]*/[^\s,]+|\d[\d,.x]*")
"""The parts of a reason that differ from sample to sample."""


def examine(
    folders: Sequence[str], *, weight: float = 1.0, most: int = 20_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[str, bool]]:  # fmt: skip
    """Tell of each set, then of each two of them.

    Args:
        folders: sets, such as those of training and validation.
        weight: that of a set in its mixture, for what an epoch draws.
        most: images of a set that are compared by their looks, spread evenly over it.
        progress: called with (images done, images in all) of one set.

    Yields:
        (a line, whether it tells of a leak).

    Raises:
        DataError: a folder is no set.
    """
    sets = {folder: ShardSet.open(folder) for folder in folders}
    looks: dict[str, Looks] = {}
    for folder, shards in sets.items():
        yield from ((line, False) for line in funnel_of(folder, shards, weight=weight))
        looks[folder] = looks_of(shards, most=most, progress=progress)
        if len(looks[folder].places) < len(shards):
            yield f"  looked at {len(looks[folder].places):,} of {len(shards):,} images", False
        pairs = [(shards.key(one), shards.key(two)) for one, two in alike(looks[folder])]
        if pairs:
            yield f"  near duplicates: {len(pairs):,} pairs look alike: {_named(pairs)}", False
            yield (
                "    remedy: look at them (`idiff data browse`); take one of each out of the raw data where they are the same",
                False,
            )
        else:
            yield "  near duplicates: none", False
    for one, two in combinations(sets, 2):
        yield from leaks(one, two, sets, looks)


def funnel_of(folder: str, shards: ShardSet, *, weight: float) -> Iterator[str]:
    """Lines about one set: the steps from raw images to the rows of an epoch, and what was left out, with keys and a remedy."""
    contents = shards.manifest
    yield f"{folder}: {contents.source}, split {contents.split}, for {', '.join(contents.tasks)}"
    steps = dict(contents.funnel) or {"samples": contents.samples}
    unit = {"picture": "images", "instances": "instances", "phrases": "phrases"}.get(contents.unit, contents.unit)
    drawn = f"{round(contents.items * weight):,} drawn an epoch at weight {weight:g}"
    yield f"  {funnel_text(steps)} -> {contents.items:,} items ({unit}) -> {drawn}"
    for (step, before), (after, left) in pairwise(contents.funnel.items()):
        if left < before and after != "usable":
            yield f"  {before - left:,} lost between '{step}' and '{after}'"
    rejected = _rejected(folder)
    if rejected:
        yield f"  {sum(map(len, rejected.values())):,} left out, in {Path(folder) / REJECTED}:"
    for (field, common), each in sorted(rejected.items(), key=lambda pair: -len(pair[1])):
        reasons = {reason for _, reason in each}
        reason = reasons.pop() if len(reasons) == 1 else common
        yield f"    {len(each):,} x {field}: {reason}: {_listed([where for where, _ in each])}"
        yield f"      remedy: {next(text for pattern, text in REMEDIES if re.search(pattern, reason))} Then build again."


def leaks(one: str, two: str, sets: dict[str, ShardSet], looks: dict[str, Looks]) -> Iterator[tuple[str, bool]]:
    """Lines about two sets: images of one that are in the other."""
    first, second = sets[one], sets[two]
    if first.fingerprint == second.fingerprint:
        yield f"{one} and {two}: LEAK: they are one set. Score on another one.", True
        return
    same = overlap(first, second).pairs
    known = {(pair.train, pair.val) for pair in same}
    near = [pair for pair in alike(looks[one], looks[two]) if pair not in known]
    if not same and not near:
        yield f"{one} and {two}: no image is in both", False
    if same:
        pairs = [(first.key(pair.train), second.key(pair.val)) for pair in same]
        yield f"{one} and {two}: LEAK: {len(same):,} images are in both: {_named(pairs)}", True
        yield f"  remedy: idiff data filter {one} --without {two} --out DIR", True
    if near:
        pairs = [(first.key(left), second.key(right)) for left, right in near]
        yield f"{one} and {two}: LEAK: {len(near):,} pairs look alike: {_named(pairs)}", True
        yield (
            f"  remedy: look at them; where they are one image, leave the keys of {one} out of the raw data and build again",
            True,
        )


def _rejected(folder: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """(field, reason without what varies) -> (sample, whole reason) each; of a remote set nothing is known."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    try:
        lines = Path(folder, REJECTED).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return found
    for line in lines:
        try:
            told = json.loads(line)
            field, reason, where = (str(told[name]) for name in ("field", "reason", "where"))
        except (ValueError, KeyError, TypeError):
            continue
        found[field, VARIES.sub("…", reason)].append((where, reason))
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _named(pairs: Sequence[tuple[str, str]]) -> str:
    return _listed([f"{one} = {two}" for one, two in pairs])
