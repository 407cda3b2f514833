"""One slice of the input makes one shard, its index and its `.done` mark, here or in a worker process."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from idiff.data.build.findings import classes_in
from idiff.data.build.fingerprint import Fingerprint, fingerprint
from idiff.data.shards import index, schema
from idiff.data.shards.annotation import canonical_json
from idiff.data.shards.folder import check_shard
from idiff.data.shards.manifest import Shard
from idiff.data.sources.base import Source
from idiff.errors import BadSampleError, DataError
from idiff.utils.files import atomic, sha256_file, write_atomic
from idiff.utils.foreign import read_json


def describe(path: Path, samples: int) -> Shard:
    """Take size and hashes of a shard whose index is beside it."""
    return Shard(
        name=path.name, size=path.stat().st_size, sha256=sha256_file(path), samples=samples,
        index_sha256=sha256_file(path.with_name(index.index_name(path.name))),
    )  # fmt: skip


class Job(NamedTuple):
    """A slice of the source, [start, stop), and the shard to write.

    Attributes:
        start: first sample.
        stop: the one after the last.
        path: of the shard.
        shared: what all slices are built from, see `shared_digest`.
        content: note the files' bytes in the fingerprint, too.
    """

    start: int
    stop: int
    path: Path
    shared: str = ""
    content: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """A finished slice.

    Attributes:
        shard: what was written; None where no sample was usable.
        rejected: what was left out.
        resized: targets that had another size than their source and were resized to it.
        classes: label values of its label maps, without void; None: it has no such maps, or an older build did not note them.
        inputs: what it was built from; None: an older build did not note it.
    """

    shard: Shard | None
    rejected: list[dict[str, Any]]
    resized: int = 0
    classes: list[int] | None = None
    inputs: Fingerprint | None = None


def read_done(path: Path) -> Done | None:
    """Read a slice's mark; None unless its shard and index are there, whole and unchanged."""
    try:
        value = read_json(path.with_suffix(".done"))
        shard = Shard(**value["shard"]) if value["shard"] else None
        inputs = Fingerprint(**value["inputs"]) if "inputs" in value else None
        result = Done(shard, value["rejected"], value.get("resized", 0), value.get("classes"), inputs)
        if result.shard is not None:
            check_shard(path.parent, result.shard, verify=True)
    except Exception:  # whatever a damaged mark holds
        return None
    return result


def build_slice(source: Source, meta: Mapping[str, Any], job: Job) -> Done:
    """Write one shard, its index and its mark.

    Raises:
        DataError: a key twice, or the folder cannot be written.
    """
    inputs = fingerprint(source, job.shared, job.start, job.stop, content=job.content)  # before the files are read
    rejected: list[dict[str, Any]] = []
    resized = 0
    classes: set[int] | None = None

    def usable() -> Iterator[dict[str, Any]]:
        nonlocal resized, classes
        for place in range(job.start, job.stop):
            try:
                sample = source.sample(place)
                members = schema.encode(sample, where=sample.key, meta=meta)
                if sample.label is not None:
                    classes = (classes or set()) | classes_in(sample)
                yield {"__key__": sample.key, **members}
                resized += "target_resized_from" in sample.annotation
            except BadSampleError as error:
                fault = {"where": error.where, "field": error.field, "reason": error.reason}
                rejected.append({"index": place} | fault)

    samples = usable()
    first = next(samples, None)
    shard = None
    if first is not None:
        from webdataset.writer import TarWriter

        options = {"user": "idiff", "group": "idiff", "mode": 0o644, "mtime": 0, "encoder": False}
        with atomic(job.path) as stream, TarWriter(stream, **options) as tar:
            for sample in itertools.chain([first], samples):
                tar.write(sample)
        rows = index.build(job.path, meta=meta)
        index.write(job.path.with_name(index.index_name(job.path.name)), rows)
        shard = describe(job.path, len(rows))
    else:
        remove_slice(job.path)
    value: dict[str, Any] = {
        "shard": dataclasses.asdict(shard) if shard else None,
        "rejected": rejected,
        "resized": resized,
        "inputs": inputs._asdict(),
    }
    listed = None if classes is None else sorted(classes)
    value |= {} if listed is None else {"classes": listed}
    write_atomic(job.path.with_suffix(".done"), canonical_json(value) + b"\n")
    return Done(shard, rejected, resized, listed, inputs)


def remove_slice(path: Path) -> None:
    """Delete a shard, its index and its mark, those that are there."""
    for file in (path.with_suffix(".done"), path, path.with_name(index.index_name(path.name))):
        file.unlink(missing_ok=True)


def run(source: Source, meta: Mapping[str, Any], jobs: list[Job], *, workers: int) -> Iterator[tuple[Job, Done]]:
    """Build slices, here or in worker processes; yields each as it is done.

    Raises:
        DataError: as `build_slice`, or a worker died.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            yield job, build_slice(source, meta, job)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (source, meta)) as pool:
        try:
            futures = {pool.submit(_work, job): job for job in jobs}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise DataError(
                "a worker died (out of memory?). Run the command again: finished shards are kept."
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_state: tuple[Source, Mapping[str, Any]]


def _start_worker(source: Source, meta: Mapping[str, Any]) -> None:
    """Keep the source in the worker, and end the worker when its parent is gone."""
    global _state  # noqa: PLW0603 - the pool's way of giving workers their state
    _state = (source, meta)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _work(job: Job) -> Done:
    source, meta = _state
    return build_slice(source, meta, job)
