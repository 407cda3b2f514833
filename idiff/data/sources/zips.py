"""Read members of zip files without unpacking them, one by one, with a bound on their size."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from idiff.errors import BadSampleError, DataError
from idiff.utils.foreign import decoding, open_regular

MAX_BYTES = 256 << 20
"""A member that unpacks to more is refused, whatever size the directory of the zip file states."""

_PIECE = 4096
"""Bytes that are unpacked at a time: two of the ways of packing unpack all that a piece of the file holds."""

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
        with decoding(lambda reason: DataError(f"{path} cannot be read as a zip file: {reason}. Download it again.")):
            return self._file(path).namelist()

    def read(self, path: Path, member: str, *, where: str, field: str) -> bytes:
        """One member, whole; its checksum is verified.

        Raises:
            BadSampleError: it is missing, damaged, encrypted or too large.
        """
        with decoding(lambda reason: BadSampleError(where, field, f"{path}: {member} cannot be unpacked: {reason}")):
            file = self._file(path)
            if member not in file.NameToInfo:
                raise BadSampleError(where, field, f"{path} has no member {member}")
            parts, left = [], MAX_BYTES
            with file.open(member) as stream:
                while part := stream.read(_PIECE):
                    left -= len(part)
                    if left < 0:
                        raise BadSampleError(
                            where, field, f"{path}: {member} unpacks to more bytes, expected at most {MAX_BYTES:,}"
                        )
                    parts.append(part)
            return b"".join(parts)

    def _file(self, path: Path) -> zipfile.ZipFile:
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        with open_regular(path):  # refuses a pipe, which zipfile would wait for
            self._open[path] = zipfile.ZipFile(path)
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return self._open[path]
