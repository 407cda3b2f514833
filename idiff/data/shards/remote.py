"""A set of shards behind an address: manifest and indices first, whole shards into a bounded cache when they are read.

Only addresses of the schemes below are opened, and nothing of what comes back is run.
"""

from __future__ import annotations

import logging
import re
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from idiff.data.shards import index
from idiff.data.shards import manifest as manifests
from idiff.data.shards.file_cache import LIMIT, Cache
from idiff.data.shards.folder import Folder, LocalFolder
from idiff.data.shards.manifest import Manifest, Shard
from idiff.errors import ConfigError, DataError, FetchError, IdiffError

log = logging.getLogger(__name__)

SCHEMES = {"http": "", "https": "", "s3": "s3fs", "gs": "gcsfs", "memory": ""}
"""Scheme -> the package that it needs beside fsspec. `memory` is fsspec's own, of this process alone."""
DELAYS = (0.5, 2.0, 8.0)
"""Seconds before each new try of a fetch that failed."""
MAX_MANIFEST = 256 << 20
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://[^\s?#]+")


def is_address(where: Path | str) -> bool:
    """Whether a text is an address and not a plain path."""
    return isinstance(where, str) and ("://" in where or "::" in where)


def check_address(where: str) -> str:
    """Refuse addresses of other schemes than `SCHEMES`, and chains of them.

    Returns:
        the address without a final slash.

    Raises:
        DataError: another scheme or form.
    """
    found = _ADDRESS.fullmatch(where)
    if found is None or found[1] not in SCHEMES or "::" in where or ".." in where.split("/"):
        raise DataError(
            f"{where}: shards are read from plain paths, and from addresses such as https://host/folder. Schemes: "
            f"{', '.join(SCHEMES)}."
        )
    return where.rstrip("/")


class RemoteFolder(Folder):
    """A folder of a web server or an object store.

    Args:
        address: of the folder that holds `manifest.json`.
        cache: keeps what was fetched; None: the one that the environment names.

    Raises:
        DataError: an address of another scheme.
    """

    far = True

    def __init__(self, address: str, cache: Cache | None = None) -> None:
        self.address = check_address(address)
        self.cache = Cache() if cache is None else cache

    def __str__(self) -> str:
        return self.address

    def manifest(self) -> Manifest:
        """See `Folder`. It is fetched each time, so that a set which has changed is seen."""
        address = f"{self.address}/{manifests.NAME}"
        with TemporaryDirectory(dir=self.cache.folder) as folder:
            copy = Path(folder) / manifests.NAME
            fetch(address, copy, most=MAX_MANIFEST)
            try:
                found = manifests.load(Path(folder))
            except DataError as error:
                raise DataError(str(error).replace(str(copy), address)) from None
        total = sum(shard.size for shard in found.shards)
        if total > self.cache.limit:
            log.warning(
                "%s has %s bytes, the cache %s: shards that are read in random order will be fetched again and again. "
                "Raise %s.", self.address, f"{total:,}", f"{self.cache.limit:,}", LIMIT,
            )  # fmt: skip
        return found

    def check(self, shard: Shard, *, verify: bool) -> None:
        """See `Folder`. With `verify`, fetches the shard, whose bytes are checked on arrival."""
        if verify:
            self._shard(shard)

    def rows(self, shard: Shard, *, known: bool = False) -> index.Rows:
        """See `Folder`. Its bytes are checked on arrival."""
        while True:
            file = self._table(shard)
            try:
                return index.load(file)
            except DataError:
                if file.exists():
                    raise

    def open(self, shard: Shard) -> BinaryIO:
        """See `Folder`. What is open stays readable when another process removes it from the cache."""
        while True:
            try:
                return self._shard(shard).open("rb", buffering=0)
            except FileNotFoundError:
                continue  # removed in between

    def _shard(self, shard: Shard) -> Path:
        address = f"{self.address}/{shard.name}"
        return self.cache.get(shard.sha256, shard.size, partial(fetch, address, most=shard.size), name=address)

    def _table(self, shard: Shard) -> Path:
        address = f"{self.address}/{index.index_name(shard.name)}"
        most = index.LARGEST_HEADER + shard.samples * index.LARGEST_ROW
        return self.cache.get(shard.index_sha256, most, partial(fetch, address, most=most), name=address)


def folder_at(where: Path | str, cache: Cache | None = None) -> Folder:
    """The folder at a path or an address.

    Args:
        where: a path, or an address.
        cache: keeps what is fetched, see `RemoteFolder`.

    Raises:
        DataError: an address of another scheme.
    """
    return RemoteFolder(str(where), cache) if is_address(where) else LocalFolder(Path(where))


def fetch(address: str, path: Path, *, most: int) -> None:
    """Copy a remote file, trying again a few times.

    Args:
        address: of the file.
        path: where to write it.
        most: larger files are refused, in bytes.

    Raises:
        FetchError: it is not there, too large, or cannot be fetched.
    """
    for delay in (*DELAYS, None):
        try:
            _copy(address, path, most=most)
        except IdiffError:
            raise
        except FileNotFoundError as error:
            raise FetchError(f"{address} is not there. Check the address, and that the upload is complete.") from error
        except Exception as error:  # each kind of server has errors of its own
            if delay is None:
                text = " ".join(str(error).split())[:200] or type(error).__name__
                raise FetchError(
                    f"{address} cannot be fetched: {text}. Check the connection, then run again."
                ) from error
            time.sleep(delay)
        else:
            return


def _copy(address: str, path: Path, *, most: int) -> None:
    import fsspec

    scheme = address.partition("://")[0]
    options: dict[str, Any] = {}
    if scheme.startswith("http"):
        import aiohttp

        limits = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)  # a shard may take long, silence not
        options = {"client_kwargs": {"timeout": limits, "trust_env": True}}
    try:
        files = fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise ConfigError(f"{address}: {scheme}:// needs {SCHEMES[scheme]}: pip install {SCHEMES[scheme]}.") from error

    class Guard(fsspec.Callback):  # type: ignore[misc]
        """Ends a copy that is larger than it may be."""

        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            if self.value > most:
                raise FetchError(f"{address} is larger than {most:,} bytes, as its set says. Upload the set again.")

    files.get_file(files._strip_protocol(address), str(path), callback=Guard())
