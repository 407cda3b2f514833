"""Read members of zip files without unpacking them, one by one, with a bound on their size."""

from __future__ import annotations

import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

from idiff.errors import BadSampleError, DataError

MAX_BYTES = 256 << 20
"""Larger members are refused by the directory of the zip file, before they are unpacked."""

_OPEN = 2


class ZipReader:
    """Members of several zip files; the last two files stay open. Pickles without its open files."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, zipfile.ZipFile] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]

    def names(self, path: Path) -> list[str]:
        """The names of all members, in the order of the zip file.

        Raises:
            DataError: it is not a zip file, or damaged.
        """
        try:
            return self._file(path).namelist()
        except (OSError, zipfile.BadZipFile, ValueError) as error:
            raise DataError(f"{path} cannot be read as a zip file: {error}. Download it again.") from error

    def read(self, path: Path, member: str, *, where: str, field: str) -> bytes:
        """One member, whole; its checksum is verified.

        Raises:
            BadSampleError: it is missing, damaged, encrypted or too large.
        """
        try:
            file = self._file(path)
            size = file.getinfo(member).file_size
            if size > MAX_BYTES:
                raise BadSampleError(
                    where, field, f"{path}: {member} has {size:,} bytes, expected at most {MAX_BYTES:,}"
                )
            return file.read(member)
        except KeyError as error:
            raise BadSampleError(where, field, f"{path} has no member {member}") from error
        except (
            OSError,
            EOFError,
            zipfile.BadZipFile,
            zlib.error,
            ValueError,
            RuntimeError,
            NotImplementedError,  # a way of packing that Python does not unpack
        ) as error:
            raise BadSampleError(where, field, f"{path}: {member} cannot be unpacked: {error}") from error

    def _file(self, path: Path) -> zipfile.ZipFile:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        self._open[path] = zipfile.ZipFile(path)
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[path]
