"""Tar headers read strictly: tarfile ends a file at a damaged header without a word, and this says so."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Self

from idiff.errors import DataError
from idiff.utils.foreign import decoding

LONGEST_NAME = 64 << 10
"""Bytes of a header that holds a long name; the field of its length could ask for any number of them."""

_HEADER, _READ = tarfile.HeaderError, tarfile.ReadError
_END: type[Exception] = vars(tarfile)["EOFHeaderError"]  # typeshed lacks it

_LONG = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}


class StrictInfo(tarfile.TarInfo):
    """A header that is damaged or cut is an error wherever it stands, and so is a sparse file."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header of 512 bytes; see `tarfile.TarInfo.frombuf`.

        Raises:
            tarfile.ReadError: of a kind or length that no shard has.
        """
        info = super().frombuf(buf, encoding, errors)
        if info.type == tarfile.GNUTYPE_SPARSE or info.size < 0:
            raise tarfile.ReadError(f"the header of {info.name[:80]!r} is of a sparse file or damaged")
        if info.type in _LONG and info.size > LONGEST_NAME:
            raise tarfile.ReadError(f"a header for a long name says that it has {info.size:,} bytes")
        return info

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read the next header.

        Raises:
            tarfile.EOFHeaderError: the end mark.
            tarfile.ReadError: no header, or a damaged one.
        """
        place = tarfile.offset
        try:
            info = super().fromtarfile(tarfile)
        except _END:
            raise
        except _HEADER as error:
            raise _READ(f"damaged or cut at byte {place:,}: {error}") from None
        if info.sparse is not None:
            raise _READ(f"the header of {info.name[:80]!r} is of a sparse file")
        return info


def stream_members(
    stream: IO[bytes], *, where: str, most: int, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Read a tar from front to back, packed or not, and see that it is whole.

    Args:
        stream: read once, never sought in.
        where: names it in errors.
        most: bytes of a member; a larger one is refused.
        wanted: whether a member of this name is read; others are skipped.

    Yields:
        name and bytes of each plain file that is wanted.

    Raises:
        DataError: damaged, cut short, or without an end mark; members before that place were given.
    """
    with (
        decoding(lambda reason: DataError(f"{where}: not a whole tar file: {reason}")),
        tarfile.open(fileobj=stream, mode="r|*", tarinfo=StrictInfo) as tar,
    ):
        for info in tar:
            tar.members.clear()  # type: ignore[attr-defined]
            if info.isreg() and wanted(info.name):
                if info.size > most:
                    raise DataError(
                        f"{where}: member {info.name[:80]!r} has {info.size:,} bytes, expected at most {most:,}"
                    )
                file = tar.extractfile(info)
                yield info.name, b"" if file is None else file.read()
        rest = tar.fileobj
        while rest is not None and (block := rest.read(1 << 16)):
            if any(block):
                raise DataError(f"{where}: damaged at byte {tar.offset:,}: more follows the end mark")
