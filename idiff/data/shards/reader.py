"""Reading shards by position: the normal way that samples reach training and evaluation.

A set is a folder: webdataset tars whose members `idiff.data.shards.schema` describes, an index beside each
(`idiff.data.shards.index`), and `manifest.json` (`idiff.data.shards.manifest`). Reading runs nothing that lies in them.
"""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from idiff.data.shards import index, schema
from idiff.data.shards import manifest as manifests
from idiff.data.shards.annotation import LISTS, UNITS, counts
from idiff.data.shards.folder import Folder
from idiff.data.shards.manifest import Manifest, Shard
from idiff.data.shards.remote import folder_at
from idiff.errors import BadSampleError, ConfigError, DataError, suggest

if TYPE_CHECKING:
    from idiff.data.shards.file_cache import Cache
    from idiff.types import Sample


_mapped: dict[tuple[int, int], index.Rows] = {}
"""(set, shard) -> its index, of all sets of this process, those used last at the end. Each holds one open file."""

_numbers = count()


class ShardSet:
    """A folder of shards, here or behind an address.

    Small in memory (indices are mapped), safe to send to workers, opens a shard for each read.
    Use `ShardSet.open`. An item is one image, or one entry of an annotation list; see `Task.unit`.

    Args:
        folder: where the shards lie; its text is the path or address.
        manifest: its manifest, already checked.
    """

    def __init__(self, folder: Folder, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self._starts = np.cumsum([0, *(shard.samples for shard in manifest.shards)])
        self._number = next(_numbers)
        self._known = bytearray(len(manifest.shards))
        self._ends: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def open(cls, where: Path | str, *, verify: bool = False, cache: Cache | None = None) -> ShardSet:
        """Open a set and check its manifest, its indices and, in a folder, the size of each shard.

        The indices of a large set (`Manifest.large`) are each read and checked when they are first used.

        Args:
            where: the folder that holds `manifest.json`, or its address (`https://...`, `s3://...`, see
                `idiff.data.shards.remote`): the manifest is fetched now, so are the indices of all but
                a large set; a shard when it is read.
            verify: check the SHA-256 of each shard too, which reads them whole, and every index.
            cache: keeps what is fetched; None: as the environment says, see `idiff.data.shards.file_cache`.

        Raises:
            DataError: anything is missing, of another schema version, of another size or content.
        """
        folder = folder_at(where, cache)
        manifest = folder.manifest()
        for shard in manifest.shards:
            folder.check(shard, verify=verify)
        shards = cls(folder, manifest)
        if verify or not (manifest.large and manifest.counted):
            counts = [manifests.counts_of(shards.rows(place)) for place in range(len(manifest.shards))]
            if manifests.units_of(counts) != manifest.units:
                raise shards._unfit()
            manifest.lists = manifests.lists_of(counts)
        none = [0] * len(manifest.shards)
        items = {"picture": [shard.samples for shard in manifest.shards]} | manifest.lists
        shards._ends = {unit: np.cumsum(items.get(unit, none), dtype=np.int64) for unit in UNITS}
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
        """The index of a shard, mapped when it is asked for. The last used stay so: a quarter of the files a process may open.

        Raises:
            DataError: it cannot be read, or is not the one that the manifest names.
        """
        rows = _mapped.pop((self._number, shard), None)
        if rows is None:
            entry = self.manifest.shards[shard]
            rows = self.folder.rows(entry, known=bool(self._known[shard]))
            if len(rows) != entry.samples:
                raise DataError(
                    f"{self.folder}/{entry.name}: {len(rows)} samples in its index, expected {entry.samples}."
                )
            if not self._known[shard]:
                self._check_counts(shard, rows)
                self._known[shard] = True
            while len(_mapped) >= max(1, os.sysconf("SC_OPEN_MAX") // 4):
                _mapped.pop(next(iter(_mapped)), None)
        _mapped[self._number, shard] = rows
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
        ends = self._ends[unit]
        shard = int(np.searchsorted(ends, i, side="right"))
        within = np.cumsum(self.rows(shard)[unit], dtype=np.int64)
        rest = i - (int(ends[shard - 1]) if shard else 0)
        row = int(np.searchsorted(within, rest, side="right"))
        return int(self._starts[shard]) + row, rest - (int(within[row - 1]) if row else 0)

    def near(self, unit: str, i: int) -> tuple[range, range]:
        """Items that cost no further fetch where item i is read: all of a set on this machine, those of its shard of another.

        Returns:
            these items, and those of item i's own sample among them.

        Raises:
            IndexError: i is out of range.
        """
        sample, local = self.locate(unit, i)
        own = range(i, i + 1)
        if unit != "picture":
            own = range(i - local, i - local + int(self._row(sample)[1][unit]))
        if not self.folder.far:
            return range(self.count(unit)), own
        shard = int(np.searchsorted(self._starts, sample, side="right")) - 1
        ends = self._ends[unit]
        return range(int(ends[shard - 1]) if shard else 0, int(ends[shard])), own

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
            FetchError: it cannot be fetched.
        """
        shard, row = self._row(sample)
        where = f"{shard.name}:{index.key_of(row)}"
        try:
            with self.folder.open(shard) as stream:
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
        intact = self.manifest.source != manifests.FOREIGN  # sets of `data build` were decoded when they were written
        result = schema.decode(self.read_members(sample), key=key, where=where, meta=self.meta, intact=intact)
        if counts(result.annotation) != {name: int(row[name]) for name in LISTS}:
            raise BadSampleError(where, "annotation", "has another number of items than the index says")
        return result

    def _row(self, sample: int) -> tuple[Shard, np.void]:
        if not 0 <= sample < len(self):
            raise IndexError(f"sample {sample} of {len(self)} in {self.folder}")
        shard = int(np.searchsorted(self._starts, sample, side="right")) - 1
        return self.manifest.shards[shard], self.rows(shard)[sample - int(self._starts[shard])]

    def _check_counts(self, shard: int, rows: index.Rows) -> None:
        """Refuse an index that has other counts than the manifest says."""
        entry, lists = self.manifest.shards[shard], self.manifest.lists
        expected = (entry.samples, *(lists[name][shard] if name in lists else 0 for name in LISTS))
        if self.manifest.counted and manifests.counts_of(rows) != expected:
            raise self._unfit()

    def _unfit(self) -> DataError:
        return DataError(
            f"{self.folder}: the item counts of manifest.json do not fit its indices. Build the shards again."
        )

    def __getstate__(self) -> tuple[Folder, Manifest, dict[str, NDArray[np.int64]]]:
        return self.folder, self.manifest, self._ends

    def __setstate__(self, state: tuple[Folder, Manifest, dict[str, NDArray[np.int64]]]) -> None:
        self.__init__(*state[:2])  # type: ignore[misc]  # the mappings are made again on first use
        self._ends = state[2]
