"""What a slice was built from: a later build compares it with what is there, and builds again what changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from idiff.data.shards.annotation import canonical_json
from idiff.data.sources.base import Source
from idiff.utils.foreign import open_regular


class Fingerprint(NamedTuple):
    """Of a slice's input.

    Attributes:
        state: covers the set's facts and lists (their bytes), and path, size and time of change of each sample's files.
        content: covers the bytes of the samples' files; None: not asked for.
    """

    state: str
    content: str | None = None


def shared_digest(source: Source, meta: Mapping[str, Any]) -> str:
    """The part of a fingerprint that all slices share: facts of the set, and the bytes of its lists."""
    digest = hashlib.sha256(canonical_json(dict(meta)))
    for one in source.set_inputs():
        digest.update(f"\n{_place(one)}\0{_content(one)}".encode() if isinstance(one, Path) else f"\n{one}".encode())
    return digest.hexdigest()


def fingerprint(source: Source, shared: str, start: int, stop: int, *, content: bool) -> Fingerprint:
    """Of the samples start to stop - 1.

    Args:
        source: it is asked for the samples' files; none is opened unless `content`.
        shared: see `shared_digest`.
        start: first sample.
        stop: the one after the last.
        content: read every file, too.
    """
    state, bodies = hashlib.sha256(f"{shared}\n{stop - start}".encode()), hashlib.sha256(shared.encode())
    known: dict[Path, tuple[bytes, str]] = {}
    for index in range(start, stop):
        for path in source.sample_inputs(index) or ():
            if path not in known:
                known[path] = f"{_place(path)}\0{_stat(path)}".encode(), _content(path) if content else ""
            state.update(known[path][0])
            bodies.update(f"{_place(path)}\0{known[path][1]}".encode())
        state.update(b"\n")
        bodies.update(b"\n")
    return Fingerprint(state.hexdigest(), bodies.hexdigest() if content else None)


def _place(path: Path) -> str:
    return bytes(path.absolute()).hex()


def _stat(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


def _content(path: Path) -> str:
    try:
        with open_regular(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError):
        return "missing"
