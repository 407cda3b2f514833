"""`manifest.json`: what a folder of shards holds, and the checksums that prove it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from idiff.data.shards.annotation import LISTS, UNITS, canonical_json, parse_json
from idiff.data.shards.index import Rows
from idiff.errors import DataError, missing
from idiff.utils.files import write_atomic
from idiff.utils.foreign import decoding, read_regular

SCHEMA = 1
"""Raised when a reader of the old schema would misread the new one."""

NAME = "manifest.json"

AT_ONCE = 1 << 20
"""A set is large with more samples, or with more shards than the square root: its indices are not all read when it is opened."""

MAX_BYTES = 256 << 20
"""A larger manifest is refused before it is read."""


@dataclass(slots=True)
class Shard:
    """One tar file: name, bytes, SHA-256 of it and of its index, samples in it."""

    name: str
    size: int
    sha256: str
    samples: int
    index_sha256: str


FOREIGN = "foreign"
"""The source of a set that was not built but indexed as it was."""


@dataclass(slots=True)
class Manifest:
    """The contents of `manifest.json`.

    Attributes:
        source: name of the source that was built, or `FOREIGN`.
        split: `train`, `val`, ...
        tasks: kinds of the tasks served; the first is the default.
        unit: the default task's item.
        samples: number of samples.
        units: unit -> number of items.
        meta: facts shared by the whole set, see `Sample.meta`.
        shards: in order.
        funnel: step of the build -> images left after it, in order; a list of pairs in the file.
        lists: annotation list -> its items in each shard; only the file of a large set has it, from this version on.
    """

    source: str
    split: str
    tasks: list[str]
    unit: str
    samples: int
    units: dict[str, int]
    meta: dict[str, Any]
    shards: list[Shard]
    funnel: dict[str, int] = field(default_factory=dict)
    lists: dict[str, list[int]] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Items of the default task."""
        return self.units.get(self.unit, 0)

    @property
    def large(self) -> bool:
        """Whether reading every index would take long, see `AT_ONCE`."""
        return max(self.samples, len(self.shards) ** 2) > AT_ONCE

    @property
    def counted(self) -> bool:
        """Whether the items of each shard are known without its index."""
        return self.units.keys() == {"picture", *self.lists}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what training sees: the shards' hashes and the shared facts."""
        content = {"schema": SCHEMA, "meta": self.meta, "shards": [shard.sha256 for shard in self.shards]}
        return hashlib.sha256(canonical_json(content)).hexdigest()

    def save(self, folder: Path) -> None:
        """Write `manifest.json` atomically; the same contents give the same bytes."""
        value = dataclasses.asdict(self)
        if not self.large:
            del value["lists"]
        value |= {
            "schema": SCHEMA,
            "items": self.items,
            "fingerprint": self.fingerprint,
            "funnel": list(self.funnel.items()),
        }
        write_atomic(folder / NAME, canonical_json(value) + b"\n")


def counts_of(rows: Rows) -> tuple[int, ...]:
    """Items of an index by unit, in the order of `UNITS`: an image is one, each annotation list counts its entries."""
    return len(rows), *(int(rows[name].sum(dtype=np.int64)) for name in LISTS)


def units_of(counts: Iterable[tuple[int, ...]]) -> dict[str, int]:
    """Add up the items of all indices, see `counts_of`. Lists that no sample has are left out."""
    totals = np.array(list(counts), np.int64).reshape(-1, len(UNITS)).sum(axis=0).tolist()
    return {name: total for name, total in zip(UNITS, totals, strict=True) if total or name == "picture"}


def lists_of(counts: Iterable[tuple[int, ...]]) -> dict[str, list[int]]:
    """Items of each annotation list by shard, see `Manifest.lists`. Lists that no sample has are left out."""
    columns = np.array(list(counts), np.int64).reshape(-1, len(UNITS)).T[1:].tolist()
    return {name: column for name, column in zip(LISTS, columns, strict=True) if any(column)}


def check_folder(folder: Path) -> Path:
    """Return the path of the folder's manifest.

    Raises:
        DataError: the folder or its manifest is missing.
    """
    if not folder.is_dir():
        what = "a folder of shards, not a file" if folder.exists() else "a folder of shards"
        raise DataError(f"{folder}: expected {what}. `idiff data build` makes one.")
    if not (folder / NAME).is_file():
        within = sorted(path.parent for path in folder.glob(f"*/{NAME}"))
        if within:
            raise DataError(f"{folder} holds sets and is none: give one of {', '.join(map(str, within[:5]))}.")
        remedy = "Finish the build with the same command again, or run `idiff data index` on shards from elsewhere."
        raise missing(folder / NAME, what="the manifest of a finished build", remedy=remedy)
    return folder / NAME


def load(folder: Path) -> Manifest:
    """Read and check a manifest.

    Raises:
        DataError: missing, not JSON, of another schema version, or in conflict with itself.
    """
    path = check_folder(folder)

    def damaged(reason: str) -> DataError:
        return DataError(f"{path} is damaged: {reason}. Build the shards again.")

    with decoding(damaged):
        value = parse_json(read_regular(path, most=MAX_BYTES))
    if not isinstance(value, dict) or "schema" not in value:
        raise DataError(f"{path} is not a manifest of shards: no 'schema' in it.")
    if value["schema"] != SCHEMA:
        raise DataError(f"{path} has schema {value['schema']!r}, this version reads {SCHEMA}. Build the shards again.")
    with decoding(damaged):
        names = {item.name for item in dataclasses.fields(Manifest)}
        manifest = Manifest(**{name: value[name] for name in names if name != "lists" or name in value})
        manifest.shards = [Shard(**shard) for shard in value["shards"]]
        manifest.funnel = dict(value["funnel"])
        _check_types(manifest)
        same = value["fingerprint"] == manifest.fingerprint and value["items"] == manifest.items
    if not same or sum(shard.samples for shard in manifest.shards) != manifest.samples:
        raise DataError(
            f"{path} is damaged: its counts or its fingerprint do not fit its shards. Build the shards again."
        )
    return manifest


def _check_types(manifest: Manifest) -> None:
    """Raise ValueError for a field of another type, or a shard name that is a path."""
    kinds = {"source": str, "split": str, "tasks": list, "unit": str, "samples": int, "units": dict, "meta": dict}
    kinds["lists"] = dict
    for name, kind in kinds.items():
        if not isinstance(getattr(manifest, name), kind):
            raise ValueError(f"'{name}' is not of type {kind.__name__}")
    if manifest.unit not in UNITS or not manifest.tasks or not manifest.shards:
        raise ValueError(f"unit {manifest.unit!r}, tasks {manifest.tasks!r}, {len(manifest.shards)} shards")
    for shard in manifest.shards:
        if Path(shard.name).name != shard.name or not shard.name.endswith(".tar") or ":" in shard.name:
            raise ValueError(f"shard name {shard.name!r} is not a plain file name that ends in .tar")
        if not all(isinstance(value, int) for value in (shard.size, shard.samples)):
            raise ValueError(f"size or samples of {shard.name} is not a whole number")
    whole = [shard.samples for shard in manifest.shards] + [
        count for counts in manifest.lists.values() for count in counts
    ]
    if not all(isinstance(count, int) and 0 <= count < 2**40 for count in whole):
        raise ValueError("a count of items is not a whole number from 0 to 2^40")
    if manifest.units.get("picture") != manifest.samples:
        raise ValueError(f"{manifest.units.get('picture')} images in 'units', {manifest.samples} samples")
    for name, counts in manifest.lists.items():
        if len(counts) != len(manifest.shards) or min(counts) < 0 or sum(counts) != manifest.units.get(name):
            raise ValueError(f"the {name} of its shards do not add up to 'units'")
