"""The folder that a set of shards lies in, here or behind an address: manifest, indices, shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import BinaryIO, ClassVar

from idiff.data.shards import index
from idiff.data.shards import manifest as manifests
from idiff.data.shards.manifest import Manifest, Shard
from idiff.errors import DataError, missing
from idiff.utils.files import sha256_file


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
        """Check that a shard and its index are there and as the manifest says; with `verify`, every byte.

        Raises:
            DataError: missing or different; names the file.
        """

    @abstractmethod
    def rows(self, shard: Shard) -> index.Rows:
        """Map the index of a shard.

        Raises:
            DataError: it cannot be read.
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
        check_shard(self.path, shard, verify=verify)

    def rows(self, shard: Shard) -> index.Rows:
        """See `Folder`."""
        return index.load(self.path / index.index_name(shard.name))

    def open(self, shard: Shard) -> BinaryIO:
        """See `Folder`."""
        return (self.path / shard.name).open("rb", buffering=0)


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
