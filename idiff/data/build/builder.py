"""Build a folder of shards from a source: one slice of the input makes one shard, its index and its `.done` mark.

Every file is written whole or not at all, and depends on its slice alone: a killed build goes on where it was, and any
number of workers writes the same bytes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from idiff.data.build import executors
from idiff.data.build.findings import class_notes, commonest
from idiff.data.build.fingerprint import shared_digest
from idiff.data.build.kept import kept, remove_others
from idiff.data.build.slices import Job
from idiff.data.shards import index
from idiff.data.shards import manifest as manifests
from idiff.data.shards.annotation import canonical_json
from idiff.data.shards.manifest import Manifest, Shard
from idiff.data.shards.reader import ShardSet
from idiff.data.sources.base import Source
from idiff.errors import ConfigError, DataError
from idiff.utils.files import own_folder, write_atomic
from idiff.utils.foreign import decoding, read_json

CONFIGURATION = "build.json"
REJECTED = "rejected.jsonl"


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did.

    Attributes:
        manifest: of the set.
        written: slices that this call wrote; 0: all were there.
        rejected: samples left out.
        resized: targets resized to their source.
        reason: the most frequent one of the samples left out.
        notes: what a person should know of its classes.
        again: why finished slices were built again -> how many.
    """

    manifest: Manifest
    written: int
    rejected: int
    resized: int = 0
    reason: str = ""
    notes: Sequence[str] = ()
    again: Mapping[str, int] = field(default_factory=dict)


def build(
    source: Source, out: Path | str, *, name: str, split: str, options: Mapping[str, Any] | None = None,
    limit: int | None = None, shard_size: int = 1000, workers: int = 1, executor: str = "local", verify: bool = False,
    beside: Collection[str] = (), progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:  # fmt: skip
    """Write the shards, indices and manifest of a source; finish what an earlier call with the same arguments began.

    Slices whose input is no longer what it was are built again: the source's lists are compared by their bytes, the samples'
    files by path, size and time of change. Samples that were left out are tried once more.

    Args:
        source: what to build.
        out: the folder, new or of the same build.
        name: the source's name, for the manifest.
        split: names the shards.
        options: how the source was made, JSON-able; another configuration in the same folder is refused.
        limit: take the first so many samples.
        shard_size: samples a shard.
        workers: processes.
        executor: `local` for processes here, `ray` for a Ray cluster; the bytes do not depend on it.
        verify: compare the samples' files by their bytes, too.
        beside: names of the caller's own files, which may lie in the folder already.
        progress: called with (samples done, samples in all).

    Raises:
        ConfigError: the folder holds another build, another process is building in it, or no such executor.
        DataError: no sample, a key twice, or the folder cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", split):
        raise ConfigError(f"split '{split}': expected letters, digits, '_' or '-', because it names the shards.")
    if min(shard_size, workers) < 1 or (limit is not None and limit < 1):
        raise ConfigError(f"{limit=}, {shard_size=}, {workers=}: expected 1 or more.")
    run = executors.create(executor)
    total = min(len(source), limit or len(source))
    if total == 0:
        raise DataError(f"source {name}, split {split}: no sample found. Steps: {funnel_text(source.funnel())}.")
    folder, meta = Path(out), source.meta()
    settings = {
        "source": name, "split": split, "options": dict(options or {}), "shard_size": shard_size, "samples": total,
        "limit": limit,
    }  # fmt: skip
    with _claimed(folder, settings, beside):
        shared = shared_digest(source, meta)
        jobs = [
            Job(
                start, min(start + shard_size, total), folder / f"{split}-{start // shard_size:06d}.tar", shared, verify
            )
            for start in range(0, total, shard_size)
        ]
        results, again = kept(source, meta, jobs)
        todo = [job for job in jobs if job not in results]
        if todo:
            (folder / manifests.NAME).unlink(missing_ok=True)
        remove_others(folder, split, jobs)
        progress(sum(job.stop - job.start for job in results), total)
        for job, done in run(source, meta, todo, workers=workers):
            results[job] = done
            progress(sum(job.stop - job.start for job in results), total)
        shards = [shard for job in jobs if (shard := results[job].shard) is not None]
        rejected = [line for job in jobs for line in results[job].rejected]
        _write_rejected(folder, rejected)
        if not shards:
            often = commonest(rejected).rstrip(".")
            raise DataError(
                f"none of the {total} samples can be used. Most often: {often}. {folder / REJECTED} names all."
            )
        funnel = source.funnel() | ({"within the limit": total} if total < len(source) else {})
        funnel["usable"] = sum(shard.samples for shard in shards)
        tasks = list(source.tasks)
        manifest = finish(
            folder, shards, source=name, split=split, tasks=tasks, unit=source.unit, meta=meta, funnel=funnel
        )
    resized = sum(results[job].resized for job in jobs)
    seen = [results[job].classes for job in jobs]
    notes = class_notes(meta.get("classes", ()), {one for some in seen for one in some or ()})
    if total < len(source) or None in seen:  # of a part, nothing is known of the rest
        notes = []
    return Report(manifest, len(todo), len(rejected), resized, commonest(rejected), notes, again)


def finish(
    folder: Path, shards: list[Shard], *, source: str, split: str, tasks: list[str], unit: str, meta: dict[str, Any],
    funnel: dict[str, int],
) -> Manifest:  # fmt: skip
    """Write the manifest of shards that are complete, and open the set to prove it.

    Raises:
        DataError: a key is in two shards, or the default task has no item.
    """
    counts, parts = [], []
    for shard in shards:
        rows = index.load(folder / index.index_name(shard.name))
        counts.append(manifests.counts_of(rows))
        parts.append(np.array(rows["key"]))
    keys = np.sort(np.concatenate(parts))
    twice = np.unique(keys[1:][keys[1:] == keys[:-1]])
    if twice.size:
        example = twice[0].decode()
        raise DataError(f"{folder}: {twice.size} keys appear twice, such as '{example}'. Give each sample its own key.")
    units = manifests.units_of(counts)
    manifest = Manifest(
        source=source, split=split, tasks=tasks, unit=unit, samples=units["picture"], units=units, meta=meta,
        shards=shards, funnel=funnel, lists=manifests.lists_of(counts),
    )  # fmt: skip
    if not manifest.items:
        raise DataError(
            f"{folder}: no '{unit}' in any of the {manifest.samples} samples, but task {tasks[0]} needs them."
        )
    manifest.save(folder)
    return ShardSet.open(folder).manifest


@contextlib.contextmanager
def _claimed(folder: Path, settings: dict[str, Any], beside: Collection[str]) -> Iterator[None]:
    """Make the folder, lock it, and refuse it when it holds anything but the same build."""
    with own_folder(folder):
        file = folder / CONFIGURATION
        if file.exists():
            with decoding(lambda reason: DataError(f"{file} is damaged: {reason}. Give another --out.")):
                before = read_json(file)
            _check_same(folder, before, settings)
        elif any(folder.glob("*.tar")) or (folder / manifests.NAME).exists():
            raise ConfigError(f"{folder} holds shards that this command did not build. Give another --out.")
        else:
            before = None
            refuse_other_files(folder, beside)
        if before != settings:
            write_atomic(file, canonical_json(settings) + b"\n")
        for left in folder.glob(".*.tmp"):
            left.unlink()
        yield


def refuse_other_files(folder: Path, beside: Collection[str] = ()) -> None:
    """Refuse a folder, if it is there, that has files of other origin and no shards.

    Args:
        folder: where shards are to be.
        beside: names of the caller's own files.

    Raises:
        ConfigError: naming the first of these files.
    """
    if (folder / CONFIGURATION).exists() or not folder.is_dir():
        return
    others = sorted(path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name not in beside)
    if others:
        raise ConfigError(
            f"{folder} has other files ({', '.join(others[:3])}): shards lie in a folder of their own. Give another --out."
        )


def _check_same(folder: Path, before: Any, now: dict[str, Any]) -> None:
    """Refuse another build. Another number of samples is one unless the input, not the limit, has changed it."""
    before = before if isinstance(before, dict) else {}
    of_input = {"options", "limit", "meta"} | ({"samples"} if before.get("limit", -1) == now["limit"] else set())
    old, new = (
        {key: part for key, part in value.items() if key not in of_input} | value.get("options", {})
        for value in (before, now)
    )
    changes = [
        f"{key} was {old.get(key)!r}, now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    if changes:
        raise ConfigError(
            f"{folder} holds another build: {'; '.join(changes)}. Give another --out, or delete that folder."
        )


def _write_rejected(folder: Path, rejected: list[dict[str, Any]]) -> None:
    if rejected:
        write_atomic(folder / REJECTED, b"".join(canonical_json(line) + b"\n" for line in rejected))
    else:
        (folder / REJECTED).unlink(missing_ok=True)


def funnel_text(funnel: Mapping[str, int]) -> str:
    """`10,000 found -> 9,988 usable`."""
    return " -> ".join(f"{count:,} {step}" for step, count in funnel.items())
