"""Score a set of shards: a small table for each shard, written whole or not at all, so that a cut run goes on.

Several processes or machines can score one set into one folder, each its own part of the shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.curation.quality.aesthetic import AestheticHead
from idiff.curation.quality.features import Features
from idiff.curation.quality.giqa import knn_giqa
from idiff.data.shards.annotation import canonical_json
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.types import Picture, Sample
from idiff.utils.files import atomic, write_atomic
from idiff.utils.foreign import decoding, read_json

SETTINGS = "settings.json"
ROW = np.dtype([("read", "?"), ("paired", "?"), ("source", "<f4"), ("target", "<f4"), ("giqa", "<f4")])
"""Scores of a sample. `read`: it could be read; `paired`: it has a target; `source`, `target`: aesthetic scores; `giqa`:
of the target, or of the source where there is none. What was not asked for is nan."""
Rows = NDArray[np.void]


@dataclass(frozen=True, slots=True)
class QualityScorer:
    """What images are scored by.

    Attributes:
        features: images to vectors.
        head: vectors to an aesthetic score; None: not asked for.
        reference: images that are good, for KNN-GIQA; None: not asked for.
        neighbours: K of KNN-GIQA.
        settings: JSON-able, what the scores depend on; scores of other settings are not mixed with these.
    """

    features: Features
    head: AestheticHead | None = None
    reference: ShardSet | None = None
    neighbours: int = 5
    settings: dict[str, Any] | None = None


def score(
    shards: ShardSet, folder: Path, scorer: QualityScorer, *, part: tuple[int, int] = (0, 1),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rows | None:  # fmt: skip
    """Score the samples of a set; go on where an earlier call with the same settings was cut.

    Args:
        shards: the set.
        folder: keeps the tables, one a shard.
        scorer: how.
        part: (i, n): score the shards i, i + n, i + 2n, ... only.
        progress: called with (shards done, shards in all) of this part.

    Returns:
        `ROW` (N,) in the order of the set; None where shards of other parts are not scored yet.

    Raises:
        ConfigError: the folder holds scores of another set or of other settings.
        DataError: it cannot be written.
    """
    _claim(folder, {"data": shards.fingerprint} | (scorer.settings or {}))
    names = [shard.name for shard in shards.manifest.shards]
    mine = range(part[0], len(names), part[1])
    reference = None if scorer.reference is None else _reference(scorer.reference, folder, scorer.features)
    for done, shard in enumerate(mine):
        progress(done, len(mine))
        file = folder / f"{names[shard]}.scores.npy"
        if _load(file, rows=len(shards.rows(shard))) is None:
            _save(file, _score_shard(shards, shard, scorer, reference))
    progress(len(mine), len(mine))
    tables = [_load(folder / f"{name}.scores.npy", rows=len(shards.rows(place))) for place, name in enumerate(names)]
    found = [table for table in tables if table is not None]
    return np.concatenate(found) if len(found) == len(tables) else None


def _score_shard(shards: ShardSet, shard: int, scorer: QualityScorer, reference: list[Path] | None) -> Rows:
    rows: Rows = np.zeros(len(shards.rows(shard)), ROW)
    for name in ("source", "target", "giqa"):
        rows[name] = np.nan
    judged: list[Tensor] = []
    for places, sources, targets in _batches(shards, shard, scorer.features.batch_size):
        read = [place for place, picture in zip(places, sources, strict=True) if picture is not None]
        rows["read"][read] = True
        sides = {
            role: {place: picture for place, picture in zip(places, side, strict=True) if picture is not None}
            for role, side in (("source", sources), ("target", targets))
        }
        rows["paired"][list(sides["target"])] = True
        vectors: dict[str, dict[int, Tensor]] = {"source": {}, "target": {}}
        for role, pictures in sides.items():
            if pictures:
                found = scorer.features(list(pictures.values()))
                vectors[role] = dict(zip(pictures, found, strict=True))
                if scorer.head is not None:
                    rows[role][list(pictures)] = scorer.head(found).numpy()
        judged += [vectors["target"].get(place, vectors["source"].get(place)) for place in read]  # type: ignore[misc]
    if reference is not None and judged:
        scores = knn_giqa(torch.stack(judged), _blocks(reference), neighbours=scorer.neighbours)
        rows["giqa"][rows["read"]] = scores.numpy()
    return rows


Batch = tuple[list[int], list[Picture | None], list[Picture | None]]


def _batches(shards: ShardSet, shard: int, size: int) -> Iterator[Batch]:
    """Places in a shard, sources (None: cannot be read) and targets (None: there is none), `size` samples at a time."""
    first = sum(entry.samples for entry in shards.manifest.shards[:shard])
    count = len(shards.rows(shard))
    for begin in range(0, count, size):
        places = list(range(begin, min(begin + size, count)))
        samples: list[Sample | None] = []
        for place in places:
            try:
                samples.append(shards.read(first + place))
            except BadSampleError:
                samples.append(None)
        sources: list[Picture | None] = [None if sample is None else sample.image for sample in samples]
        yield places, sources, [None if sample is None else sample.target for sample in samples]


def _reference(shards: ShardSet, folder: Path, features: Features) -> list[Path]:
    """Extract the reference's features, a file for each of its shards; what is there is not done again."""
    files = []
    for shard, entry in enumerate(shards.manifest.shards):
        file = folder / f"reference-{entry.sha256[:16]}.npy"
        files.append(file)
        if file.exists():
            continue
        vectors = []
        for _, sources, targets in _batches(shards, shard, features.batch_size):
            pictures = [second if second is not None else first for first, second in zip(sources, targets, strict=True)]
            usable = [picture for picture in pictures if picture is not None]
            if usable:
                vectors.append(features(usable))
        if not vectors:
            raise DataError(f"{shards.folder}/{entry.name}: no image of the reference can be read. Leave it out.")
        _save(file, torch.cat(vectors).numpy())
    return files


def _blocks(files: list[Path], rows: int = 4096) -> Iterator[Tensor]:
    for file in files:
        table = np.load(file, mmap_mode="r", allow_pickle=False)
        for begin in range(0, len(table), rows):
            yield torch.from_numpy(np.array(table[begin : begin + rows], np.float32))


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Make the folder; refuse it where it holds other scores."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror}. Give another --scores.") from error
    file = folder / SETTINGS
    if not file.exists():
        write_atomic(file, canonical_json(settings) + b"\n")
        return
    with decoding(lambda reason: DataError(f"{file} is damaged: {reason}. Delete that folder.")):
        before = read_json(file)
    if before != settings:
        names = [name for name in settings if not isinstance(before, dict) or before.get(name) != settings[name]]
        raise ConfigError(
            f"{folder} holds scores of another filter: {', '.join(names) or 'settings'} differ. Give another --scores or "
            "--out, or delete that folder."
        )


def _save(file: Path, rows: NDArray[Any]) -> None:
    with atomic(file) as stream:
        np.save(stream, rows, allow_pickle=False)


def _load(file: Path, *, rows: int) -> Rows | None:
    """A shard's table; None where there is none, or one that is cut or of another layout."""
    try:
        table: Rows = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception:  # whatever numpy meets in a cut or foreign file
        return None
    return table if table.dtype == ROW and table.shape == (rows,) else None


def hash_of(value: Any) -> str:
    """A short hash of a JSON-able value."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:16]
