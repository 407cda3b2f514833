"""A bounded local cache of remote files, named by the SHA-256 of their content. Safe with several processes.

A file appears whole, verified and under its own hash, or not at all. Where room is needed, what was used longest ago
goes first; a file that is being read stays readable until it is closed.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from idiff.errors import ConfigError, DataError, FetchError
from idiff.utils.files import lock, sha256_file

FOLDER, LIMIT = "IDIFF_CACHE", "IDIFF_CACHE_SIZE"
"""Environment: the cache's folder (~/.cache/idiff), and how large it may get (20G), in bytes or with K, M, G, T."""
DEFAULT_LIMIT = "20G"
LOCKS = ".locks"
PAUSE = 0.05

Fetch = Callable[[Path], None]
"""Writes a remote file to a path."""


class Cache:
    """Files by content.

    Args:
        folder: where they lie; None: what the environment says, else `~/.cache/idiff`.
        limit: bytes that all of them may take together; None: what the environment says, else 20 GiB.

    Raises:
        ConfigError: a limit that is not a size.
        DataError: the folder cannot be made.
    """

    def __init__(self, folder: Path | str | None = None, *, limit: int | None = None) -> None:
        default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "idiff"
        self.folder = Path(folder or os.environ.get(FOLDER) or default).expanduser().absolute()
        self.limit = parse_size(os.environ.get(LIMIT) or DEFAULT_LIMIT) if limit is None else limit
        try:
            (self.folder / LOCKS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{self.folder}: the cache cannot be made: {error.strerror}. Set {FOLDER}.") from error

    def get(self, sha256: str, most: int, fetch: Fetch, *, name: str) -> Path:
        """Find a file; fetch it first where it is not here, while other processes that want it wait.

        Args:
            sha256: of the content, 64 hexadecimal digits.
            most: bytes that it has at most.
            fetch: writes the remote file to the path it is given, and no more than `most` bytes.
            name: the address, for messages.

        Returns:
            the file. Another process that needs room may remove it at any time after.

        Raises:
            ConfigError: it is larger than the whole cache may be.
            FetchError: it cannot be fetched, or has another content.
            DataError: the cache cannot be written.
        """
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise DataError(f"{name}: {sha256[:80]!r} is no SHA-256. The manifest is damaged: build the shards again.")
        if most > self.limit:
            raise ConfigError(
                f"{name} has {most:,} bytes, more than the cache in {self.folder} may take ({self.limit:,}). Raise {LIMIT}."
            )
        file, room, part = self.folder / sha256, self.folder / f".{sha256}.room", self.folder / f".{sha256}.part"
        if _used(file):
            return file
        with self._locked(sha256):
            if _used(file):
                return file
            try:
                room.unlink(missing_ok=True)  # left by a process that was killed
                self._reserve(room, most)
                fetch(part)
                _verify(part, sha256, name=name)
                part.replace(file)
            except OSError as error:
                raise DataError(f"{file} cannot be written: {error.strerror or error}. Set {FOLDER}.") from error
            finally:
                part.unlink(missing_ok=True)
                room.unlink(missing_ok=True)
        return file

    def size(self) -> int:
        """Bytes that the files take now, with the room kept for those that are being fetched."""
        sizes: dict[str, int] = {}
        for _, size, file in self._files():  # a file that has just come still has its room beside it
            name = file.stem.removeprefix(".")
            sizes[name] = max(size, sizes.get(name, 0))
        return sum(sizes.values())

    def _reserve(self, room: Path, most: int) -> None:
        """Keep room for a file, removing what was used longest ago; waits while others that are fetching take it."""
        while True:
            with self._locked("all"):
                files = sorted(self._files())
                free = self.limit - sum(length for _, length, _ in files)
                for _, length, file in files:
                    if free >= most:
                        break
                    free += length if self._remove(file) else 0
                if free >= most:
                    with room.open("wb") as stream:
                        stream.truncate(most)  # a length without content: it counts, and takes no blocks
                    return
            time.sleep(PAUSE)

    def _remove(self, file: Path) -> bool:
        """Remove a file; the room of one that is being fetched only where its process is gone."""
        if file.suffix != ".room":
            file.unlink(missing_ok=True)
            return True
        with self._locked(file.stem.removeprefix("."), wait=False) as mine:
            if mine:
                file.with_suffix(".part").unlink(missing_ok=True)
                file.unlink(missing_ok=True)
            return mine

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """(last use, bytes, path) of each file and of each kept room."""
        for file in self.folder.iterdir():
            if re.fullmatch(r"[0-9a-f]{64}|\.[0-9a-f]{64}\.room", file.name):
                with contextlib.suppress(FileNotFoundError):
                    facts = file.stat()
                    yield facts.st_mtime, facts.st_size, file

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock between processes; without `wait`, say whether it could be had."""
        with (self.folder / LOCKS / name).open("w") as stream:
            yield lock(stream, wait=wait)


def _used(file: Path) -> bool:
    """Mark a file as used now; False where it is not here."""
    try:
        os.utime(file)
    except OSError:
        return False
    return True


def _verify(file: Path, sha256: str, *, name: str) -> None:
    """Check what was fetched, and bring it to the disk."""
    digest = sha256_file(file)
    if digest != sha256:
        raise FetchError(
            f"{name} is damaged: {file.stat().st_size:,} bytes with SHA-256 {digest[:12]}..., expected {sha256[:12]}.... "
            "Upload the set again."
        )
    with file.open("rb") as stream:
        os.fsync(stream.fileno())


def parse_size(text: str) -> int:
    """`20G` -> bytes, with K, M, G, T as powers of 1024.

    Raises:
        ConfigError: it is not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise ConfigError(f"{LIMIT}={text}: expected bytes, or a number with K, M, G or T, such as {DEFAULT_LIMIT}.")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))
