"""Which slices of an earlier build stay as they are, and why the others are built again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from idiff.data.build.fingerprint import fingerprint
from idiff.data.build.slices import Done, Job, read_done, remove_slice
from idiff.data.shards import schema
from idiff.data.sources.base import Source
from idiff.errors import BadSampleError

CHANGED = "whose input changed"
UNKNOWN = "of an older version, which did not note its input"
UNHASHED = "whose files were not hashed before"
USABLE = "with a sample that can be used now"


def kept(source: Source, meta: Mapping[str, Any], jobs: Sequence[Job]) -> tuple[dict[Job, Done], Counter[str]]:
    """Compare finished slices with their input; samples that were left out are tried once more.

    Args:
        source: what is built.
        meta: its facts.
        jobs: all slices.

    Returns:
        Slices that stay; and reason -> how many finished slices do not.
    """
    stay: dict[Job, Done] = {}
    again: Counter[str] = Counter()
    for job in jobs:
        done = read_done(job.path)
        if done is None:
            continue
        reason = _stale(source, job, done) or (USABLE if _mended(source, meta, done) else "")
        if reason:
            again[reason] += 1
        else:
            stay[job] = done
    return stay, again


def told(again: Mapping[str, int]) -> str:
    """Such as `built again: 2 shards whose input changed`; empty where there was none."""
    parts = [f"{count:,} shard{'s' if count > 1 else ''} {reason}" for reason, count in sorted(again.items())]
    return f"built again: {', '.join(parts)}" if parts else ""


def remove_others(folder: Path, split: str, jobs: Sequence[Job]) -> None:
    """Delete slices past the last one, which an input that is shorter now left behind."""
    names = {job.path.name for job in jobs}
    for path in _slices(folder, split):
        if path.name not in names:
            remove_slice(path)


def _slices(folder: Path, split: str) -> Iterator[Path]:
    for mark in folder.glob(f"{split}-*.done"):
        if re.fullmatch(r"\d{6}", mark.stem[len(split) + 1 :]):
            yield mark.with_suffix(".tar")


def _stale(source: Source, job: Job, done: Done) -> str:
    """Why a slice is built again; empty where its input is what it was."""
    if done.inputs is None:
        return UNKNOWN
    if job.content and done.inputs.content is None:
        return UNHASHED
    now = fingerprint(source, job.shared, job.start, job.stop, content=job.content)
    return "" if (now == done.inputs if job.content else now.state == done.inputs.state) else CHANGED


def _mended(source: Source, meta: Mapping[str, Any], done: Done) -> bool:
    """Whether a sample that was left out can be used now. Those that are read from no file are not tried."""
    for line in done.rejected:
        if source.sample_inputs(line["index"]) == ():
            continue
        try:
            sample = source.sample(line["index"])
            schema.encode(sample, where=sample.key, meta=meta)
        except BadSampleError:
            continue
        return True
    return False
