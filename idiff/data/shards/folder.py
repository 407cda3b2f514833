"""The folder that a set of shards lies in, here or behind an address: manifest, indices, shards."""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO, ClassVar

from idiff.data.shards import index
from idiff.data.shards import manifest as manifests
from idiff.data.shards.manifest import Manifest, Shard
from idiff.errors import DataError, missing
from idiff.utils.files import sha256_file

_REMEDY = "Build the shards again with the same command."


class Folder(ABC):
    """Where a set lies. Its text is the path or address. Sent to worker processes, so it holds nothing open.

    Attributes:
        far: a shard is fetched before it is read.
    """

    far: ClassVar[bool] = False

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def manifest(self) -> Manifest:
        """Read and check the manifest.

        Raises:
            DataError: missing, damaged, or of another schema version.
        """

    @abstractmethod
    def check(self, shard: Shard, *, verify: bool) -> None:
        """Check that a shard and its index are there, as far as that is known unread; with `verify`, read the shard, too.

        Raises:
            DataError: missing or different; names the file.
        """

    @abstractmethod
    def rows(self, shard: Shard, *, known: bool = False) -> index.Rows:
        """Map the index of a shard.

        Args:
            shard: of the manifest.
            known: this process has compared its hash before.

        Raises:
            DataError: it cannot be read, or is not the one that the manifest names.
        """

    @abstractmethod
    def open(self, shard: Shard) -> BinaryIO:
        """Open a shard for reading, unbuffered.

        Raises:
            OSError: it cannot be read.
            DataError: it cannot be fetched.
        """


class LocalFolder(Folder):
    """A folder on this machine.

    Args:
        path: the folder that holds `manifest.json`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def manifest(self) -> Manifest:
        """See `Folder`."""
        return manifests.load(self.path)

    def check(self, shard: Shard, *, verify: bool) -> None:
        """See `Folder`."""
        check_files(self.path, shard)
        if verify:
            _check_hash(self.path / shard.name, shard.sha256)

    def rows(self, shard: Shard, *, known: bool = False) -> index.Rows:
        """See `Folder`."""
        table = self.path / index.index_name(shard.name)
        if not known:
            _check_hash(table, shard.index_sha256)
        return index.load(table)

    def open(self, shard: Shard) -> BinaryIO:
        """See `Folder`."""
        return (self.path / shard.name).open("rb", buffering=0)


def check_shard(folder: Path, shard: Shard, *, verify: bool) -> None:
    """Check a shard's size and its index's hash; with `verify`, the shard's hash too.

    Raises:
        DataError: missing or different; names the file.
    """
    check_files(folder, shard)
    _check_hash(folder / index.index_name(shard.name), shard.index_sha256)
    if verify:
        _check_hash(folder / shard.name, shard.sha256)


def check_files(folder: Path, shard: Shard) -> None:
    """Check that a shard and its index are there, and the shard's size. Neither is read.

    Raises:
        DataError: missing or different; names the file.
    """
    path, table = f"{folder}/{shard.name}", f"{folder}/{index.index_name(shard.name)}"
    size = _size(path)
    if size is None:
        raise missing(Path(path), what=f"a shard of {shard.size:,} bytes", remedy=_REMEDY)
    if size != shard.size:
        raise DataError(f"{Path(path)} has {size:,} bytes, expected {shard.size:,}. {_REMEDY}")
    if _size(table) is None:
        raise missing(Path(table), what="the index of the shard", remedy=_REMEDY)


def _size(path: str) -> int | None:
    """Bytes of a plain file; None where there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 (asked of each of 10^5 shards)
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _check_hash(file: Path, expected: str) -> None:
    got = sha256_file(file)
    if got != expected:
        raise DataError(f"{file} is damaged: SHA-256 is {got[:12]}..., expected {expected[:12]}.... {_REMEDY}")
