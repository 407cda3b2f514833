"""One run a folder: a lock that is gone with the process that held it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idiff.errors import ConfigError

NAME = ".lock"


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    The lock belongs to the process alone (`lockf`, not `flock`): loader workers that outlive a killed run do not hold it.

    Args:
        folder: the run folder; it exists.

    Raises:
        ConfigError: another process trains in this folder.
    """
    with (Path(folder) / NAME).open("a") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another run is training in {folder}. Wait for it, or set trainer.default_root_dir to another folder."
            ) from None
        yield
