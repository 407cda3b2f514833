"""Reading shards by position: the normal way that samples reach training and evaluation.

A set is a folder: webdataset tars whose members `idiff.data.members` describes, an index beside each
(`idiff.data.index`), and `manifest.json` (`idiff.data.manifest`). Reading runs nothing that lies in them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from idiff.data import index, members
from idiff.data import manifest as manifests
from idiff.data.annotation import LISTS, UNITS, counts
from idiff.data.files import sha256_file
from idiff.data.manifest import Manifest, Shard
from idiff.errors import BadSampleError, ConfigError, DataError, missing, suggest

if TYPE_CHECKING:
    from idiff.types import Sample


class ShardSet:
    """A folder of shards. Small in memory (indices are mapped), safe to send to workers, opens a shard for each read.

    Use `ShardSet.open`. An item is one picture, or one entry of an annotation list; see `Task.unit`.

    Args:
        folder: where the shards lie.
        manifest: its manifest, already checked.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._starts = np.cumsum([0, *(shard.samples for shard in manifest.shards)])
        self._rows: list[index.Rows | None] = [None] * len(manifest.shards)
        self._ends: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = False) -> ShardSet:
        """Open a folder and check its manifest, its indices and the size of each shard.

        Args:
            path: the folder that holds `manifest.json`.
            verify: check the SHA-256 of each shard too, which reads them whole.

        Raises:
            DataError: anything is missing, of another schema version, of another size or content.
        """
        folder = Path(path)
        manifest = manifests.load(folder)
        for shard in manifest.shards:
            check_shard(folder, shard, verify=verify)
        shards = cls(folder, manifest)
        if manifests.units_of([shards.rows(place) for place in range(len(manifest.shards))]) != manifest.units:
            raise DataError(
                f"{folder}: the item counts of manifest.json do not fit its indices. Build the shards again."
            )
        return shards

    @property
    def meta(self) -> dict[str, Any]:
        """Facts shared by the whole set, see `Sample.meta`."""
        return self.manifest.meta

    @property
    def fingerprint(self) -> str:
        """Hash of the contents."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        return self.manifest.samples

    def rows(self, shard: int) -> index.Rows:
        """The index of a shard, mapped on first use.

        Raises:
            DataError: it cannot be read or has another number of rows than the manifest says.
        """
        rows = self._rows[shard]
        if rows is None:
            entry = self.manifest.shards[shard]
            rows = index.load(self.folder / index.index_name(entry.name))
            if len(rows) != entry.samples:
                raise DataError(
                    f"{self.folder / entry.name}: {len(rows)} samples in its index, expected {entry.samples}."
                )
            self._rows[shard] = rows
        return rows

    def count(self, unit: str) -> int:
        """Number of items of a unit: `picture`, `instances` or `phrases`.

        Raises:
            ConfigError: no such unit.
        """
        if unit not in UNITS:
            raise ConfigError(f"unknown unit '{unit}'{suggest(unit, UNITS)} Known: {', '.join(UNITS)}.")
        return self.manifest.units.get(unit, 0)

    def locate(self, unit: str, i: int) -> tuple[int, int]:
        """Find the i-th item, 0 <= i < count(unit), as (sample index, item in that sample).

        Raises:
            IndexError: i is out of range.
        """
        if not 0 <= i < self.count(unit):
            raise IndexError(f"item {i} of {self.count(unit)} {unit} in {self.folder}")
        if unit == "picture":
            return i, 0
        if unit not in self._ends:
            numbers = [self.rows(shard)[unit].astype(np.int64) for shard in range(len(self.manifest.shards))]
            self._ends[unit] = np.cumsum(np.concatenate(numbers))
        ends = self._ends[unit]
        sample = int(np.searchsorted(ends, i, side="right"))
        return sample, i - (int(ends[sample - 1]) if sample else 0)

    def key(self, sample: int) -> str:
        """The key of a sample, 0 <= sample < len.

        Raises:
            IndexError: sample is out of range.
        """
        return index.key_of(self._row(sample)[1])

    def where(self, sample: int) -> str:
        """`shard:key`, the name of a sample in messages."""
        shard, row = self._row(sample)
        return f"{shard.name}:{index.key_of(row)}"

    def read_members(self, sample: int) -> dict[str, bytes]:
        """Read the files of a sample, checked but not decoded: suffix (`source.jpg`, ...) -> bytes.

        Raises:
            BadSampleError: the shard is missing, cut or damaged at this sample.
        """
        shard, row = self._row(sample)
        where = f"{shard.name}:{index.key_of(row)}"
        try:
            with (self.folder / shard.name).open("rb", buffering=0) as stream:
                return index.read_members(stream, row, where=where)
        except OSError as error:
            raise BadSampleError(where, "shard", f"cannot be read: {error.strerror}") from error

    def read(self, sample: int) -> Sample:
        """Read and decode a sample.

        Raises:
            BadSampleError: named `shard:key: field`; never another sample instead.
        """
        shard, row = self._row(sample)
        key = index.key_of(row)
        where = f"{shard.name}:{key}"
        result = members.decode(self.read_members(sample), key=key, where=where, meta=self.meta)
        if counts(result.annotation) != {name: int(row[name]) for name in LISTS}:
            raise BadSampleError(where, "annotation", "has another number of items than the index says")
        return result

    def _row(self, sample: int) -> tuple[Shard, np.void]:
        if not 0 <= sample < len(self):
            raise IndexError(f"sample {sample} of {len(self)} in {self.folder}")
        shard = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return self.manifest.shards[shard], self.rows(shard)[sample - int(self._starts[shard])]

    def __getstate__(self) -> tuple[Path, Manifest]:
        return self.folder, self.manifest

    def __setstate__(self, state: tuple[Path, Manifest]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # the mappings are made again on first use


def check_shard(folder: Path, shard: Shard, *, verify: bool) -> None:
    """Check a shard's size and its index's hash; with `verify`, the shard's hash too.

    Raises:
        DataError: missing or different; names the file.
    """
    path = folder / shard.name
    remedy = "Build the shards again with the same command."
    if not path.is_file():
        raise missing(path, what=f"a shard of {shard.size:,} bytes", remedy=remedy)
    if path.stat().st_size != shard.size:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes, expected {shard.size:,}. {remedy}")
    table = folder / index.index_name(shard.name)
    if not table.is_file():
        raise missing(table, what="the index of the shard", remedy=remedy)
    hashes = [(table, shard.index_sha256)] + ([(path, shard.sha256)] if verify else [])
    for file, expected in hashes:
        got = sha256_file(file)
        if got != expected:
            raise DataError(f"{file} is damaged: SHA-256 is {got[:12]}..., expected {expected[:12]}.... {remedy}")
