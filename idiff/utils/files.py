"""Files and folders that are either whole or absent, their checksums, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, BinaryIO

from idiff.errors import ConfigError, DataError, IdiffError
from idiff.utils.foreign import open_regular

LOCK = ".lock"
"""The file in a folder that the process which writes there holds locked."""


@contextlib.contextmanager
def atomic(
    path: Path,
    *,
    error: type[IdiffError] = DataError,
    remedy: str = "Free space there or give another folder.",
) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on leaving, flush it to the disk and rename it to `path`.

    A crash at any moment leaves the old file or the new one.

    Args:
        path: the file; its folder exists.
        error: what a failure is raised as.
        remedy: the last sentence of its message.

    Raises:
        IdiffError: of the type `error`: the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as failure:
        if not path.parent.is_dir():
            raise error(f"{path} cannot be written: there is no folder {path.parent}. Make it first.") from failure
        raise error(f"{path} cannot be written: {failure.strerror or failure}. {remedy}") from failure
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomic(
    path: Path,
    data: bytes | str,
    *,
    error: type[IdiffError] = DataError,
    remedy: str = "Free space there or give another folder.",
) -> None:
    """Write a whole file, see `atomic`. Text is written as UTF-8."""
    with atomic(path, error=error, remedy=remedy) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


@contextlib.contextmanager
def whole_folder(target: Path, *, error: type[IdiffError] = DataError) -> Iterator[Path]:
    """A new folder that takes the target's place once it is full; of a failure nothing is left.

    Args:
        target: must not exist yet, or be empty. Its parents are made.
        error: what a failure is raised as.

    Raises:
        IdiffError: of the type `error`: the target holds something already, or cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise error(f"{target} exists already: name a folder that does not, or empty it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as failure:
        raise error(f"{target} cannot be written: {failure.strerror}. Name another folder.") from None
    try:
        yield staged
        staged.chmod(0o755)
        if target.exists():
            target.rmdir()
        staged.replace(target)
    except OSError as failure:
        raise error(f"{target} cannot be written: {failure.strerror}. Free some space or name another.") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def put_aside(path: Path, said: Callable[[str], None]) -> None:
    """Rename a file or folder, where it is there, to the first free NAME.1, NAME.2, ...; `said` is told the new name."""
    if path.exists():
        number = 1
        while (free := path.with_name(f"{path.name}.{number}")).exists():
            number += 1
        path.rename(free)
        said(f"{path} is now {free}")


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries: after it, a file that was made or renamed there outlives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal, computed in bounded memory.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def lock(handle: IO[str] | IO[bytes] | int, *, wait: bool = True, inherited: bool = True) -> bool:
    """Lock an open file or folder against other processes; the lock ends when it is closed.

    Args:
        handle: the open file.
        wait: until another holder lets go.
        inherited: child processes hold the lock as well (`flock`); without it, it belongs to this process alone (`lockf`), so
            that workers which outlive a killed run do not hold it.

    Returns:
        whether it is held; always True where it waits.
    """
    take = fcntl.flock if inherited else fcntl.lockf
    try:
        take(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock, so that two commands never write to one.

    Raises:
        DataError: it cannot be made.
        ConfigError: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK).open("a")
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise DataError(f"{folder} cannot be written: {reason}. Give another --out.") from error
    with handle:
        if not lock(handle, wait=False):
            raise ConfigError(f"another process is writing to {folder}. Wait for it, or give another --out.")
        yield


@contextlib.contextmanager
def own_run(folder: str | Path) -> Iterator[None]:
    """Hold the lock of a run folder, which exists. The lock ends with this process, whatever its workers do.

    Raises:
        ConfigError: another process trains in this folder.
    """
    with (Path(folder) / LOCK).open("a") as handle:
        if not lock(handle, wait=False, inherited=False):
            raise ConfigError(
                f"another run is training in {folder}. Wait for it, or set trainer.default_root_dir to another folder."
            )
        yield
