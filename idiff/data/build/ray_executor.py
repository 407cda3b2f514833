"""Build slices on a Ray cluster: the same whole-slice units as here, so the same bytes. An optional extra, `idiff[ray]`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from idiff.data.build.slices import Done, Job, build_slice
from idiff.data.shards.folder import check_shard
from idiff.errors import ConfigError, DataError

if TYPE_CHECKING:
    from idiff.data.sources.base import Source


def run(source: Source, meta: Mapping[str, Any], jobs: list[Job], *, workers: int) -> Iterator[tuple[Job, Done]]:
    """Build slices as Ray tasks; yields each as it is done. Signature and promises as `idiff.data.build.slices.run`.

    It joins the cluster that RAY_ADDRESS names, or one that the process has started already; else it starts one of
    `workers` processors on this machine, and ends it. On a cluster the raw data and the output folder must be at the same
    paths on every machine, and `workers` is the number of slices at work at once. A task whose machine is lost is done
    again elsewhere.

    Args:
        source: what to build.
        meta: its facts.
        jobs: the slices.
        workers: slices at work at once.

    Raises:
        ConfigError: ray is not installed.
        DataError: as `build_slice`; a task was lost for good; its shard is not where it should be.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere unless it is asked for
    try:
        import ray
    except ImportError as error:
        raise ConfigError("--executor ray needs Ray: pip install 'idiff[ray]', or use --executor local.") from error
    if not jobs:
        return
    started = not ray.is_initialized()
    if started:
        own = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="error", **own)
    try:
        yield from _run(ray, source, meta, jobs, workers=workers)
    finally:
        if started:
            ray.shutdown()


def _run(
    ray: Any, source: Source, meta: Mapping[str, Any], jobs: list[Job], *, workers: int
) -> Iterator[tuple[Job, Done]]:
    work = ray.remote(num_cpus=1, max_retries=3)(_work)
    state = ray.put((source, dict(meta)))
    left = list(reversed(jobs))
    busy: dict[Any, Job] = {}
    while left or busy:
        while left and len(busy) < workers:
            job = left.pop()
            busy[work.remote(state, job._replace(path=job.path.absolute()))] = job
        ready, _ = ray.wait(list(busy), num_returns=1)
        job = busy.pop(ready[0])
        done = _result(ray, ready[0])
        if done.shard is not None:
            _check_here(job, done)
        yield job, done
    for half in jobs[0].path.parent.glob(".*.tmp"):  # of tasks whose process was lost
        half.unlink()


def _work(state: tuple[Source, Mapping[str, Any]], job: Job) -> Done:
    return build_slice(*state, job)


def _result(ray: Any, reference: Any) -> Done:
    """A task's result, or the error that it raised, without Ray's traceback."""
    try:
        done: Done = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, Exception):
            raise cause from None
        raise DataError(f"a Ray task failed: {error}. Run the command again: finished shards are kept.") from error
    except ray.exceptions.RayError as error:
        text = str(error).splitlines()[0]
        raise DataError(f"a Ray task was lost: {text}. Run the command again: finished shards are kept.") from error
    return done


def _check_here(job: Job, done: Done) -> None:
    try:
        assert done.shard is not None
        check_shard(job.path.parent, done.shard, verify=False)
    except DataError as error:
        raise DataError(
            f"{job.path} was built on another machine and is not here: {error} Give an --out that all machines share."
        ) from error
