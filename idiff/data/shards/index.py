"""The index beside each shard: where each member lies and how it must look, one fixed-size row a sample.

A tar that is cut, or whose header has one wrong byte, ends early without an error in most readers. With the index a
damaged sample is found by its checksum and never mistaken for another one, and any sample is read by its position. The
index is a plain numpy array (no pickles) that is mapped into memory, not loaded.
"""

from __future__ import annotations

import io
import mmap
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from idiff.data.shards.annotation import LISTS, counts
from idiff.data.shards.schema import (
    FORMATS,
    MAX_KEY,
    MAX_MAPS,
    REQUIRED,
    decode_annotation,
    formats_of,
    is_key,
    map_names,
    max_bytes_of,
    parse_name,
)
from idiff.data.shards.strict_tar import StrictInfo
from idiff.errors import BadSampleError, DataError
from idiff.utils.files import write_atomic
from idiff.utils.foreign import decoding, open_regular

Rows = NDArray[np.void]
"""Structured array, one row a sample: `key`, one `MEMBER` for each role, one count for each annotation list."""

MEMBER = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc32", "<u4"), ("format", "u1")])
"""Place of a member's data in the shard, in bytes. `format`: 0 where there is none, else 1 + its place in `formats_of`."""


OPTIONAL = ("rejected",)
"""Roles that an index has a place for only where a sample of its shard has such a member, as it has for maps: most sets have
none."""

LARGEST_HEADER = 4096
"""Bytes before the rows of an index file are fewer."""


def row_dtype(key_length: int, optional: Iterable[str] = ()) -> np.dtype[np.void]:
    """The row of a sample whose keys have at most `key_length` characters, with these `OPTIONAL` roles and maps."""
    fields: list[tuple[str, Any]] = [("key", f"S{key_length}")]
    fields += [(role, MEMBER) for role in FORMATS if role not in OPTIONAL or role in optional]
    fields += [(role, MEMBER) for role in map_names(optional)]
    fields += [(name, "<u4") for name in LISTS]
    return np.dtype(fields)


LARGEST_ROW = row_dtype(MAX_KEY, OPTIONAL).itemsize + MAX_MAPS * MEMBER.itemsize
"""Bytes of a row are at most as many."""


def index_name(shard: str) -> str:
    """`train-000000.tar` -> `train-000000.index.npy`."""
    return f"{shard.removesuffix('.tar')}.index.npy"


@dataclass(slots=True)
class Member:
    """One file in a tar: its name and the place of its data, in bytes."""

    name: str
    offset: int
    size: int


def scan(path: Path) -> Iterator[Member]:
    """Walk the headers of a shard, strictly.

    Raises:
        DataError: it is not a tar, is cut, has a damaged header, has no end mark, or holds anything but plain files.
    """
    remedy = "Write the shard again."
    with (
        decoding(lambda reason: DataError(f"{path.name}: not a whole tar file: {reason}. {remedy}")),
        open_regular(path) as stream,
        tarfile.open(fileobj=stream, mode="r:", tarinfo=StrictInfo) as tar,
    ):
        size, end = path.stat().st_size, 0
        while (info := tar.next()) is not None:
            if not info.isdir():
                if not info.isreg():
                    raise DataError(f"{path.name}: member {info.name!r} is not a plain file. {remedy}")
                yield Member(info.name, info.offset_data, info.size)
            end = info.offset_data + (-(-info.size // 512) * 512 if info.isreg() else 0)
            tar.members.clear()  # type: ignore[attr-defined]
    with path.open("rb") as stream:
        stream.seek(end)
        tail = stream.read(1024)
        while block := stream.read(1 << 20):
            tail = tail if not any(block) else block
    if len(tail) < 1024 or any(tail):
        raise DataError(
            f"{path.name}: damaged or cut at byte {end:,} of {size:,}: expected a member or the end mark. {remedy}"
        )


def build(path: Path, *, meta: Mapping[str, Any]) -> Rows:
    """Index a shard: check names, keys and annotations, and take the checksum of each member.

    Args:
        path: the tar file.
        meta: the set's facts, to check annotations against.

    Returns:
        One row a sample, in the order of the shard.

    Raises:
        DataError: the shard is damaged or empty, a key appears twice or apart, or a member is missing or not of the
            schema.
    """
    samples: dict[str, dict[str, tuple[int, int, int, int]]] = {}
    items: dict[str, dict[str, int]] = {}
    last = ""
    with path.open("rb") as stream:
        for member in scan(path):
            key, role, form = parse_name(member.name, where=path.name)
            if key != last and key in samples:
                raise DataError(
                    f"{path.name}: key '{key}' appears twice. Keys are unique, a sample's members together."
                )
            parts = samples.setdefault(key, {})
            if role in parts:
                raise DataError(f"{path.name}:{key}: two members for '{role}', expected one.")
            if member.size > max_bytes_of(role):
                raise DataError(
                    f"{path.name}:{key}: {role}: {member.size:,} bytes, expected at most {max_bytes_of(role):,}."
                )
            data = read_range(stream, offset=member.offset, size=member.size)
            if role == "annotation":
                items[key] = counts(decode_annotation(data, where=f"{path.name}:{key}", meta=meta))
            parts[role] = (member.offset, member.size, zlib.crc32(data), 1 + formats_of(role).index(form))
            last = key
    if not samples:
        raise DataError(f"{path.name}: no sample in it. Leave empty shards out.")
    found = {role for parts in samples.values() for role in parts}
    maps = map_names(found)
    if len(maps) > MAX_MAPS:
        raise DataError(f"{path.name}: {len(maps)} different maps ({', '.join(maps)}), expected at most {MAX_MAPS}.")
    optional = [*found.intersection(OPTIONAL), *maps]
    rows = np.zeros(len(samples), row_dtype(max(map(len, samples)), optional))
    for row, (key, parts) in zip(rows, samples.items(), strict=True):
        for role in REQUIRED:
            if role not in parts:
                raise DataError(f"{path.name}:{key}: no member {key}.{role}.{'|'.join(FORMATS[role])}.")
        row["key"] = key.encode()
        for role, value in parts.items():
            row[role] = value
        for name, count in items[key].items():
            row[name] = count
    return rows


def read_range(stream: BinaryIO, *, offset: int, size: int) -> bytes:
    """Read `size` bytes at `offset`; fewer where the file ends."""
    stream.seek(offset)
    return stream.read(size)


def key_of(row: np.void) -> str:
    """The sample's key.

    Raises:
        BadSampleError: it has other characters than a key has, as in an index that is damaged or made up.
    """
    key = bytes(row["key"]).decode("ascii", "replace")
    if not is_key(key):
        raise BadSampleError("index", "key", f"{key!r}, expected 1 to {MAX_KEY} letters, digits, '_' or '-'")
    return key


def roles_of(row: np.void) -> list[str]:
    """The roles of which the sample has a member."""
    roles = (*FORMATS, *map_names(row.dtype.names or ()))
    return [role for role in roles if suffix_of(row, role) is not None]


def suffix_of(row: np.void, role: str) -> str | None:
    """`source.jpg`, or None where the sample has no such member."""
    form = int(row[role]["format"]) if role in (row.dtype.names or ()) else 0
    return f"{role}.{formats_of(role)[form - 1]}" if form else None


def read_members(stream: BinaryIO, row: np.void, *, where: str) -> dict[str, bytes]:
    """Read the members of one sample, each checked against its checksum.

    Returns:
        suffix -> bytes.

    Raises:
        BadSampleError: the shard is shorter than the index says, or a member's bytes are not those that were written.
    """
    members = {}
    for role in (*FORMATS, *map_names(row.dtype.names or ())):
        suffix = suffix_of(row, role)
        if suffix is None:
            continue
        offset, size, crc32 = (int(row[role][name]) for name in ("offset", "size", "crc32"))
        if size > max_bytes_of(role):
            raise BadSampleError(where, role, f"{size:,} bytes, expected at most {max_bytes_of(role):,}")
        with decoding(lambda reason, role=role: BadSampleError(where, role, f"cannot be read: {reason}")):  # type: ignore[misc]
            data = read_range(stream, offset=offset, size=size)
        if len(data) != size:
            raise BadSampleError(where, role, f"the shard ends after {len(data):,} of its {size:,} bytes")
        if zlib.crc32(data) != crc32:
            raise BadSampleError(where, role, f"damaged: CRC-32 is {zlib.crc32(data):08x}, expected {crc32:08x}")
        members[suffix] = data
    return members


def write(path: Path, rows: Rows) -> None:
    """Write an index. The same rows give the same bytes."""
    stream = io.BytesIO()
    np.save(stream, rows, allow_pickle=False)
    write_atomic(path, stream.getvalue())


def load(path: Path) -> Rows:
    """Map an index into memory, read-only.

    Raises:
        DataError: missing, damaged, or of another layout.
    """
    remedy = "Run `idiff data check`, then build again."
    with decoding(lambda reason: DataError(f"{path} cannot be used as an index: {reason}. {remedy}")):
        with open_regular(path) as file:  # refuses a pipe
            head = file.read(LARGEST_HEADER)
            dtype, count, begin, sound = _layout(head[: 10 + int.from_bytes(head[8:10], "little")])
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        rows: Rows = np.ndarray(count, dtype, buffer=content, offset=begin)
        if not sound:
            raise DataError(f"{path} is an index of another layout. Build the shards again.")
        roles = [role for role in dtype.names or () if formats_of(role)]
        if rows.size and not all(int(rows[role]["format"].max()) <= len(formats_of(role)) for role in roles):
            raise DataError(f"{path} is damaged: an unknown file format. Build the shards again.")
    return rows


@lru_cache(maxsize=256)
def _layout(head: bytes) -> tuple[np.dtype[np.void], int, int, bool]:
    """What the head of a numpy file says: type of a row, rows, where they begin, and whether the type is that of an index.

    The shards of a set have few heads.
    """
    stream = io.BytesIO(head)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it is of another version of numpy's format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    if len(shape) != 1:
        raise ValueError(f"its rows have the shape {shape}, expected one dimension")
    names = dtype.names or ()
    keys = dtype["key"].itemsize if "key" in names else 1
    return dtype, shape[0], stream.tell(), keys <= MAX_KEY and dtype == row_dtype(keys, names)
