"""`idiff data check`: find everything that is wrong with a folder of shards, by shard and key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from idiff.data.shards import index, manifest, schema
from idiff.data.shards.annotation import LISTS, counts
from idiff.data.shards.manifest import Manifest, Shard
from idiff.data.shards.remote import folder_at, is_address
from idiff.errors import BadSampleError, DataError
from idiff.utils.files import sha256_file


def check(path: Path | str) -> Iterator[str]:
    """Check each shard's size, SHA-256 and index, each member's checksum, that it decodes, and each annotation's fields.

    Args:
        path: the folder, or its address; then what is fetched is checked, and shards that are not listed stay unseen.

    Yields:
        one line for each fault, beginning with the file, or with `shard:key`; nothing for a sound set.

    Raises:
        DataError: the folder or its manifest is missing.
    """
    if is_address(path):
        yield from _check_address(str(path))
        return
    folder = Path(path)
    manifest.check_folder(folder)
    try:
        contents = manifest.load(folder)
    except DataError as error:
        yield str(error)
        return
    listed = {shard.name for shard in contents.shards}
    for extra in sorted(file.name for file in folder.glob("*.tar") if file.name not in listed):
        yield f"{extra}: not in {manifest.NAME}"
    counts: list[tuple[int, ...]] = []
    keys: set[str] = set()
    for shard in contents.shards:
        yield from _check_files(folder, shard)
        if not (folder / shard.name).is_file():
            continue
        try:
            rows = _rows(folder, shard, contents)
        except DataError as error:
            yield str(error)
            continue
        counts.append(manifest.counts_of(rows))
        yield from _check_keys(shard, rows, keys)
        yield from _check_members(folder / shard.name, rows)
        with (folder / shard.name).open("rb") as stream:
            yield from _check_samples(stream, shard.name, rows, contents)
    yield from _check_counts(counts, contents)


def _check_files(folder: Path, shard: Shard) -> Iterator[str]:
    """Compare a shard and its index with the manifest; say where they differ."""
    path = folder / shard.name
    if not path.is_file():
        yield f"{shard.name}: missing, expected {shard.size:,} bytes"
        return
    size = path.stat().st_size
    if size != shard.size:
        yield f"{shard.name}: {size:,} bytes, expected {shard.size:,}"
    if sha256_file(path) != shard.sha256:
        yield f"{shard.name}: SHA-256 differs from {manifest.NAME}"
    table = folder / index.index_name(shard.name)
    if not table.is_file():
        yield f"{table.name}: missing"
    elif sha256_file(table) != shard.index_sha256:
        yield f"{table.name}: SHA-256 differs from {manifest.NAME}"


def _rows(folder: Path, shard: Shard, contents: Manifest) -> index.Rows:
    """The index of a shard; where that is damaged, a new one made by walking the shard."""
    table = folder / index.index_name(shard.name)
    if table.is_file() and sha256_file(table) == shard.index_sha256:
        return index.load(table)
    return index.build(folder / shard.name, meta=contents.meta)


def _check_address(address: str) -> Iterator[str]:
    """As `check`, of a set behind an address."""
    folder = folder_at(address)
    contents = folder.manifest()
    counts: list[tuple[int, ...]] = []
    keys: set[str] = set()
    for shard in contents.shards:
        try:
            folder.check(shard, verify=True)
            rows = folder.rows(shard)
            with folder.open(shard) as stream:
                yield from _check_samples(stream, shard.name, rows, contents)
        except DataError as error:
            yield str(error)
            continue
        counts.append(manifest.counts_of(rows))
        yield from _check_keys(shard, rows, keys)
    yield from _check_counts(counts, contents)


def _check_counts(counts: list[tuple[int, ...]], contents: Manifest) -> Iterator[str]:
    """Compare the item counts of a manifest with those of all indices, where none is missing."""
    if len(counts) != len(contents.shards):
        return
    if manifest.units_of(counts) != contents.units:
        yield f"{manifest.NAME}: item counts {contents.units}, expected {manifest.units_of(counts)} by the indices"
    elif contents.counted and manifest.lists_of(counts) != contents.lists:
        yield f"{manifest.NAME}: the item counts of its shards ('lists') are not those of the indices"


def _check_keys(shard: Shard, rows: index.Rows, keys: set[str]) -> Iterator[str]:
    """Refuse keys that are none, and those that are among `keys`; the others are added to them."""
    for row in rows:
        try:
            key = index.key_of(row)
        except BadSampleError as error:
            yield f"{shard.name}: {error}"
            continue
        if key in keys:
            yield f"{shard.name}:{key}: key: appears twice"
        keys.add(key)


def _check_members(path: Path, rows: index.Rows) -> Iterator[str]:
    """Compare the places that an index names with those of the members of the tar, both ways."""
    listed = {}
    for row in rows:
        key = bytes(row["key"]).decode("ascii", "replace")
        for role in index.roles_of(row):
            listed[f"{key}.{index.suffix_of(row, role)}"] = (int(row[role]["offset"]), int(row[role]["size"]))
    try:
        for member in index.scan(path):
            name = ".".join(schema.parse_name(member.name, where=path.name))
            place = listed.pop(name, None)
            if place is None:
                yield f"{path.name}: {name}: not in the index"
            elif place != (member.offset, member.size):
                yield (
                    f"{path.name}: {name}: {member.size:,} bytes at {member.offset:,}, the index says {place[1]:,} at "
                    f"{place[0]:,}"
                )
    except DataError as error:
        yield str(error)
        return
    for name in listed:
        yield f"{path.name}: {name}: in the index, and not in the tar"


def _check_samples(stream: BinaryIO, name: str, rows: index.Rows, contents: Manifest) -> Iterator[str]:
    """Read and decode each sample that the index lists."""
    for row in rows:
        where = name
        try:
            key = index.key_of(row)
            where = f"{name}:{key}"
            parts = index.read_members(stream, row, where=where)
            sample = schema.decode(parts, key=key, where=where, meta=contents.meta)
        except BadSampleError as error:
            yield str(error)
            continue
        if counts(sample.annotation) != {name: int(row[name]) for name in LISTS}:
            yield f"{where}: annotation: has another number of items than the index says"
