"""The door through which foreign bytes come in: reading one ends in a value or in one error of ours, and never blocks."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idiff.errors import IdiffError

REASON_LENGTH = 200
"""Most characters of a reason in a message."""

MAX_FILE = 2 << 30
"""Bytes of the largest file that is read whole; what is known to be smaller has a bound of its own."""

MAX_TEXT = 64 << 20
"""Bytes of the largest text or description that people and this package write: configurations, sentences, manifests."""


@contextmanager
def decoding(refusal: Callable[[str], IdiffError]) -> Iterator[None]:
    """Turn whatever a decoder meets in foreign bytes into one error.

    No list of exceptions is ever whole: libraries raise what comes up in them. So anything that is not an error of ours already is
    the fault of the bytes. Keep what is inside small: reading and decoding, nothing else.

    >>> with decoding(lambda reason: IdiffError(f"a.json is damaged: {reason}")):
    ...     json.loads("[1, 2")
    Traceback (most recent call last):
    idiff.errors.IdiffError: a.json is damaged: Expecting ',' delimiter: line 1 column 6 (char 5)

    Args:
        refusal: makes the error from the reason, which is one line of at most 200 characters.

    Raises:
        IdiffError: what `refusal` made, or an error of ours from inside as it is.
    """
    try:
        yield
    except IdiffError:
        raise
    except Exception as error:
        raise refusal(reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """What an exception says, in one line of at most 200 characters: whole sentences of a longer text, where one fits."""
    if isinstance(error, KeyError):
        return f"no {' '.join(str(error).split())[:190]}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    said = " ".join(str(error).split()) or type(error).__name__
    if len(said) <= REASON_LENGTH:
        return said
    whole = said[:REASON_LENGTH].rpartition(". ")[0]
    return whole or textwrap.shorten(said, REASON_LENGTH, placeholder=" ...")


def open_regular(path: Path | str, *, inside: Path | None = None) -> io.BufferedReader:
    """Open a plain file for reading. A pipe or a device is refused, and never waited for.

    Args:
        path: the file; with `inside`, seen from there.
        inside: a folder below which no symbolic link is followed.

    Raises:
        OSError: it is missing, unreadable, no plain file, or behind a link.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags) if inside is None else open_below(inside, Path(path), flags)
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        code = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
        what = "it is a folder, expected a file" if stat.S_ISDIR(kind) else "it is a pipe or a device, expected a file"
        raise OSError(code, what, str(path))
    return os.fdopen(handle, "rb")


def open_below(folder: Path, path: Path, flags: int) -> int:
    """Open a path below a folder step by step, following no link.

    Args:
        folder: may itself be reached by links.
        path: seen from there.
        flags: see `os.open`; a new file gets the mode 0o644.

    Returns:
        the file's handle.

    Raises:
        OSError: a part of the path is a link, or leads out of the folder; or the file cannot be opened.
    """
    if path.is_absolute() or ".." in path.parts:
        raise OSError(errno.EINVAL, "it leads out of its folder", str(path))
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
            os.close(place)
            place = below
        return os.open(path.name, flags | os.O_NOFOLLOW, 0o644, dir_fd=place)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise OSError(error.errno, "it is a link, which is not followed", str(path)) from error
        raise
    finally:
        os.close(place)


def read_regular(path: Path | str, *, most: int = MAX_FILE, inside: Path | None = None) -> bytes:
    """Read a plain file whole, see `open_regular`.

    Args:
        path: the file.
        most: bytes; a larger file is refused before it is read.
        inside: see `open_regular`.

    Raises:
        OSError: as `open_regular`, or it is larger.
    """
    with open_regular(path, inside=inside) as stream:
        size = os.fstat(stream.fileno()).st_size
        data = stream.read(most + 1) if size <= most else b""
        if size > most or len(data) > most:
            raise OSError(errno.EFBIG, f"it has {max(size, len(data)):,} bytes, expected at most {most:,}", str(path))
        return data


def read_text(path: Path | str) -> str:
    """Read a plain UTF-8 file of at most `MAX_TEXT` bytes, with or without a byte order mark.

    Raises:
        OSError: as `read_regular`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_regular(path, most=MAX_TEXT).decode("utf-8-sig")


def read_json(path: Path | str) -> Any:
    """Read a JSON file of at most `MAX_TEXT` bytes.

    Raises:
        OSError: as `read_regular`.
        ValueError: as `parse_json`.
    """
    return parse_json(read_regular(path, most=MAX_TEXT), finite=False)


_WORD_OUTSIDE_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')


def parse_json(data: bytes, *, finite: bool = True) -> Any:
    """Read JSON, strictly: UTF-8 with or without a byte order mark, no nan, no infinity.

    Args:
        data: the whole text.
        finite: refuse NaN and Infinity, which Python writes and JSON lacks.

    Raises:
        ValueError: anything else, with the reason and the line.
    """
    text = data.decode("utf-8-sig")

    def refuse(word: str) -> float:
        if not finite:
            return float(word)
        place = next((found.start() for found in _WORD_OUTSIDE_TEXT.finditer(text) if found[1]), 0)
        raise ValueError(f"{word} is not JSON, in line {text.count(chr(10), 0, place) + 1}")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
