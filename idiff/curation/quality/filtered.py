"""`idiff data filter`: what stays of a set, as a set of its own, with a report.

The set is written by the ordinary build from a source that reads shards: it is resumable, its bytes do not depend on
the number of workers, and everything that takes shards takes it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.curation.quality.choose import Choice, Thresholds, spread
from idiff.curation.quality.plots import plot
from idiff.curation.quality.scores import Rows, hash_of
from idiff.data.build.builder import CONFIGURATION, Report, build
from idiff.data.shards.annotation import canonical_json, parse_json
from idiff.data.shards.reader import ShardSet
from idiff.data.shards.schema import is_map
from idiff.data.sources.base import RawSample, Source
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.files import write_atomic

KEPT, DROPPED, REPORT, PLOT = "kept.txt", "dropped.jsonl", "report.json", "histograms.png"
SCORES = "scores"
OWN = (KEPT, DROPPED, REPORT, PLOT, SCORES)
"""What the filter writes beside the shards."""


class Chosen(Source):
    """Some samples of a set of shards, in their order, their files unchanged.

    Args:
        shards: the set.
        places: positions of the samples.
        steps: for the filter report.
    """

    def __init__(self, shards: ShardSet, places: NDArray[np.int64], *, steps: Mapping[str, int]) -> None:
        self.shards, self.places, self.steps = shards, places, dict(steps)
        self.tasks, self.unit = shards.manifest.tasks, shards.manifest.unit

    def meta(self) -> dict[str, Any]:
        """The facts of the whole set."""
        return self.shards.meta

    def __len__(self) -> int:
        return len(self.places)

    def sample(self, index: int) -> RawSample:
        """Read the files of a sample. See `Source.sample`."""
        place = int(self.places[index])
        members = self.shards.read_members(place)
        parts = {name.partition(".")[0]: data for name, data in members.items()}
        try:
            facts = parse_json(parts["annotation"])
        except ValueError as error:
            raise BadSampleError(self.shards.where(place), "annotation", f"not JSON: {error}") from error
        return RawSample(
            key=self.shards.key(place), image=parts["source"], annotation=facts, label=parts.get("label"),
            target=parts.get("target"), rejected=parts.get("rejected"),
            maps={role: data for role, data in parts.items() if is_map(role)},
        )  # fmt: skip

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """None: the set that this is made from is an option of the build, by its fingerprint."""
        return ()

    def funnel(self) -> dict[str, int]:
        """The steps of the choice."""
        return self.steps


def write_filtered(
    shards: ShardSet, choice: Choice, out: Path, *, scores: Rows | None, thresholds: Thresholds,
    settings: Mapping[str, Any], shard_size: int = 1000, workers: int = 1, executor: str = "local",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Report:  # fmt: skip
    """Write the report, the lists of kept and dropped samples, and the filtered shards.

    Args:
        shards: the set that was chosen from.
        choice: what stays.
        out: the folder of the new set.
        scores: of all samples; None: not scored.
        thresholds: for the report.
        settings: JSON-able, how it was scored; for the report.
        shard_size: samples a shard.
        workers: processes, see `build`.
        executor: see `build`.
        progress: see `build`.

    Raises:
        DataError: nothing stays, or the folder cannot be written.
        ConfigError: the folder holds another build.
    """
    keys = [shards.key(int(place)) for place in choice.kept]
    limits = {} if scores is None else dataclasses.asdict(thresholds)
    result = None
    if keys:
        options = {"filter of": shards.fingerprint[:16], "kept": hash_of(keys), **limits}
        result = build(
            Chosen(shards, choice.kept, steps=choice.steps), out, name=shards.manifest.source,
            split=shards.manifest.split, options=options, shard_size=shard_size, workers=workers, executor=executor,
            beside=OWN, progress=progress,
        )  # fmt: skip
    elif (out / CONFIGURATION).exists():
        raise ConfigError(
            f"{out} holds another build, and none of the {len(shards):,} samples stays. Give another --out."
        )
    _write_lists(shards, choice, out, keys=keys)
    report = {
        "data": {"path": str(shards.folder), "fingerprint": shards.fingerprint},
        "samples": len(shards), "kept": len(keys), "steps": list(choice.steps.items()),
        "dropped": dict(Counter(reason for reason, _ in choice.dropped.values())),
        "thresholds": limits, "settings": dict(settings), "scores": _spreads(scores),
    }  # fmt: skip
    write_atomic(out / REPORT, canonical_json(report) + b"\n")
    if scores is not None:
        plot(scores, out / PLOT, kept=choice.kept, thresholds=thresholds)
    if result is None:
        raise DataError(
            f"none of the {len(shards):,} samples stays, so that no set was written. {out / REPORT} and {out / PLOT} show "
            "the scores: change the thresholds."
        )
    return result


def _write_lists(shards: ShardSet, choice: Choice, out: Path, *, keys: list[str]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out} cannot be made: {error.strerror}. Give another --out.") from error
    write_atomic(out / KEPT, "".join(f"{key}\n" for key in keys).encode())
    lines = [
        {"key": shards.key(place), "where": shards.where(place), "reason": reason} | values
        for place, (reason, values) in choice.dropped.items()
    ]
    write_atomic(out / DROPPED, b"".join(canonical_json(line) + b"\n" for line in lines))


def _spreads(scores: Rows | None) -> dict[str, dict[str, float]]:
    if scores is None:
        return {}
    columns = {name: scores[name] for name in ("source", "target", "giqa")}
    columns["difference"] = np.abs(scores["target"] - scores["source"])
    return {name: found for name, values in columns.items() if (found := spread(values))}
