"""What must be on the disk, and whose folder it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from idiff.errors import ConfigError, DataError


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries: after it, a file that was made or renamed there outlives a crash."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock, so that two commands never write to one.

    Raises:
        DataError: it cannot be made.
        ConfigError: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise DataError(f"{folder} cannot be written: {reason}. Give another --out.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(f"another process is writing to {folder}. Wait for it, or give another --out.") from error
        yield
