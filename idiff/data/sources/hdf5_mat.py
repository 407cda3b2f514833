"""MATLAB files of version 7.3, which are HDF5. An optional extra, `idiff[mat73]`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.foreign import decoding, open_regular

_MAGIC = b"\x89HDF\r\n\x1a\n"
_HEADER = 512  # MATLAB writes its own text before HDF5's
_MOST = 4 << 30
_DEPTH = 16


def is_hdf5(file: Path) -> bool:
    """Whether a file is HDF5, with MATLAB's header before it or without.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(file) as stream:
        head = stream.read(_HEADER + len(_MAGIC))
    return head.startswith(_MAGIC) or head[_HEADER:] == _MAGIC


def read_hdf5(file: Path) -> dict[str, Any]:
    """All variables, as scipy reads those of earlier versions: numbers as arrays, cells as arrays of objects, text as `str`.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file cannot be read, or holds more than 4 GiB.
    """
    opened = open_hdf5(file)
    with _reading(file):
        names = [name for name in opened if not name.startswith("#")]
        total = _total(opened, names)
        if total > _MOST + 8 * file.stat().st_size:
            raise DataError(f"{file} holds {total:,} bytes of numbers, expected at most {_MOST:,}.")
        return {name: _value(opened, opened[name], 0) for name in names}


def open_hdf5(file: Path) -> Any:
    """The file, opened; one file of a process stays open.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file cannot be read.
    """
    with _reading(file):
        facts = file.stat()
    return _opened(file, facts.st_mtime_ns, os.getpid())


@lru_cache(maxsize=2)
def _opened(file: Path, _changed: int, _process: int) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            f"{file} is a MATLAB file of version 7.3, which needs h5py: pip install 'idiff[mat73]'."
        ) from error
    with _reading(file), open_regular(file):  # refuses a pipe, which would be waited for
        return h5py.File(file, "r")


def _reading(file: Path) -> Any:
    return decoding(lambda reason: DataError(f"{file} cannot be read as a MATLAB file: {reason}. Download it again."))


@contextmanager
def _variable(file: Path, name: str) -> Iterator[tuple[Any, Any]]:
    """An opened file and its variable of this name; None where it has none. Faults as `_reading` says them."""
    opened = open_hdf5(file)
    with _reading(file):
        yield opened, opened.get(name)


def _total(opened: Any, names: list[str]) -> int:
    """Bytes of the numbers under some names, as they are in memory."""
    total = 0

    def count(_name: str, found: Any) -> None:
        nonlocal total
        total += int(getattr(found, "nbytes", 0))

    for name in names:
        count(name, opened[name])
        if hasattr(opened[name], "visititems"):
            opened[name].visititems(count)
    return total


def _value(opened: Any, found: Any, deep: int) -> Any:
    """A variable with MATLAB's order of axes, which is the reverse of the file's."""
    if deep > _DEPTH:
        raise ValueError("nested too deeply")
    if hasattr(found, "keys"):
        fields = {name: _value(opened, found[name], deep + 1) for name in found}
        return SimpleNamespace(**fields, _fieldnames=list(fields))
    kind = found.attrs.get("MATLAB_class", b"")
    kind = kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)
    if found.attrs.get("MATLAB_empty", 0):
        return "" if kind == "char" else np.zeros((0, 0))
    values = np.asarray(found[()]).T
    if kind == "char":
        return "".join(map(chr, values.ravel().tolist()))
    if values.dtype == object:
        held = np.empty(values.shape, dtype=object)
        for place in np.ndindex(values.shape):
            held[place] = _value(opened, opened[values[place]], deep + 1)
        return np.squeeze(held)
    return np.squeeze(values)[()]  # a single number without an array around it, as scipy has it


@dataclass(frozen=True, slots=True)
class Slice:
    """The map of one image out of an array of all: MATLAB's (H, W, N) or (H, W, C, N).

    Attributes:
        path: of the file.
        variable: the array.
        place: of the image, from 0.
    """

    path: Path
    variable: str
    place: int

    def read(self, *, where: str, field: str) -> NDArray[Any]:
        """Numbers as the file has them, (H, W) or (H, W, C).

        Raises:
            BadSampleError: they cannot be read.
        """
        refused: Callable[[str], BadSampleError] = lambda reason: BadSampleError(  # noqa: E731
            where, field, f"'{self.variable}' of {self.path} cannot be read: {reason}"
        )
        with decoding(refused):
            try:
                return np.ascontiguousarray(open_hdf5(self.path)[self.variable][self.place].T)
            except DataError as error:
                raise refused(str(error)) from error


def shape_of(file: Path, variable: str) -> tuple[int, ...] | None:
    """The shape of an array in MATLAB's order of axes; None where the file has none of this name.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file cannot be read.
    """
    with _variable(file, variable) as (_, found):
        return None if found is None or hasattr(found, "keys") else tuple(found.shape[::-1])


def texts_of(file: Path, variable: str) -> list[str]:
    """A cell array of texts; empty where the file has none of this name.

    Raises:
        ConfigError: h5py is not installed.
        DataError: the file cannot be read.
    """
    with _variable(file, variable) as (opened, found):
        return [] if found is None else [str(text) for text in np.atleast_1d(_value(opened, found, 0)).ravel()]
