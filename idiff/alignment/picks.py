"""The journal of picks: which candidates of a sample an annotator chose. Loads neither numpy nor torch.

Each annotator has a file of their own, `DIR/picks/ANNOTATOR.jsonl`, with one line a decision. Lines are only ever added, and
the last line about a sample counts. So nobody's decisions can be lost by a crash, or by what another annotator does.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from idiff.alignment.decisions import MOST, Action, Decision, check_annotator, is_annotator, parse_decision
from idiff.errors import ConfigError, DataError, unknown
from idiff.utils.files import lock, sync_folder
from idiff.utils.foreign import open_below, parse_json, read_regular

log = logging.getLogger(__name__)

FOLDER = "picks"
"""Where the journals lie in a folder of candidates."""

_SUFFIX = ".jsonl"


class PickJournal:
    """Decisions of one annotator. Several processes may append at once: a file lock keeps their lines apart.

    Args:
        folder: the folder of candidates; it exists. `picks/` in it is made by the first decision.
        annotator: letters, digits, `_` and `-`, at most 64.

    Raises:
        ConfigError: a name that cannot be used.
    """

    def __init__(self, folder: Path | str, annotator: str) -> None:
        self.annotator = check_annotator(annotator)
        self.path = Path(folder) / FOLDER / f"{self.annotator}{_SUFFIX}"

    def append(
        self, sample: str, chosen: Sequence[int] = (), *, seconds: float = 0.0, action: Action = "pick", time: str = ""
    ) -> bool:
        """Write one decision; it is on the disk when this returns.

        A decision that the journal holds already (same sample, choice, action and time) is not written again, so whoever
        doubts that one arrived may send it again. A torn line that a crash left is closed first.

        Args:
            sample: name of the sample.
            chosen: indices of none to two candidates, best first; none for `undo`.
            seconds: how long the decision took.
            action: `pick`, or `undo`.
            time: when it was made: ISO 8601 with a time zone; empty: now.

        Returns:
            whether it was new.

        Raises:
            ConfigError: a decision that means nothing.
            DataError: the journal cannot be written or read.
        """
        value = {
            "sample": sample,
            "chosen": list(chosen),
            "annotator": self.annotator,
            "time": time or datetime.now(UTC).isoformat(timespec="milliseconds"),
            "seconds": seconds,
            "action": action,
        }
        try:
            decision = parse_decision(value)
        except ValueError as error:
            raise ConfigError(f"the decision about sample {sample!r} cannot be used: {error}.") from None
        try:
            with _held(self.path) as handle:
                data = _contents(handle)
                if decision.time.encode() in data and any(  # the time first: parsing all lines takes long
                    _same(decision, other) for other in _parsed(data, self.path, self.annotator)
                ):
                    return False
                line = json.dumps(asdict(decision)).encode() + b"\n"
                _write(handle, line if not data or data.endswith(b"\n") else b"\n" + line)
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror or error}. Free space there, or allow writing."
            ) from error
        return True

    def history(self) -> list[Decision]:
        """All decisions in the order in which they were written, also those that no longer count.

        Raises:
            DataError: the journal cannot be read, or has a line that is not a decision.
        """
        try:
            data = read_regular(Path(FOLDER) / self.path.name, inside=self.path.parent.parent)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}.") from error
        return list(_parsed(data, self.path, self.annotator))

    def decisions(self) -> dict[str, Decision]:
        """What counts, by sample, in the order in which it was decided; samples that were undone are left out.

        Raises:
            DataError: as `history`.
        """
        standing: dict[str, Decision] = {}
        for decision in self.history():
            standing.pop(decision.sample, None)
            if decision.action == "pick":
                standing[decision.sample] = decision
        return standing


def annotators(folder: Path | str) -> list[str]:
    """Names of all who have a journal in a folder of candidates, sorted."""
    files = (Path(folder) / FOLDER).glob(f"*{_SUFFIX}")
    return sorted(file.stem for file in files if is_annotator(file.stem))


def decisions_by_annotator(folder: Path | str, only: Sequence[str] | None = None) -> dict[str, dict[str, Decision]]:
    """What counts of everyone: annotator to sample to decision, see `PickJournal.decisions`.

    Args:
        folder: of candidates.
        only: whose; None: everybody's.

    Raises:
        ConfigError: one of them is unknown, or nobody is named.
        DataError: a journal cannot be read.
    """
    known = annotators(folder)
    for name in only or ():
        if name not in known:
            raise unknown("annotator", name, known)
    if only is not None and not only:
        raise ConfigError("--annotators names nobody: give names with commas between.")
    return {name: PickJournal(folder, name).decisions() for name in (known if only is None else only)}


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """Open a journal, made where missing, and lock it against other processes and threads."""
    path.parent.mkdir(exist_ok=True)
    new = not path.exists()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    handle = open_below(path.parent.parent, Path(path.parent.name) / path.name, flags)
    try:
        lock(handle)
        if new:
            sync_folder(path.parent)
            sync_folder(path.parent.parent)
        yield handle
    finally:
        os.close(handle)


def _contents(handle: int) -> bytes:
    with os.fdopen(os.dup(handle), "rb") as stream:
        stream.seek(0)
        return stream.read()


def _write(handle: int, data: bytes) -> None:
    """Add bytes at the end, all or, where the disk is full, none."""
    size = os.fstat(handle).st_size
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _parsed(data: bytes, path: Path, annotator: str) -> Iterator[Decision]:
    """Decisions of a file's bytes. What is no JSON was torn by a crash before it was confirmed: it is named and left out."""
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError:
            log.warning("%s:%d: a line that was torn while it was written is left out.", path, number)
            continue
        try:
            decision = parse_decision(value)
            if decision.annotator != annotator:
                raise ValueError(f"annotator is {decision.annotator!r}")
        except ValueError as error:
            raise DataError(
                f"{path}:{number} is not a decision of {annotator}: {error}. Mend the line or delete it."
            ) from None
        yield decision


def _same(one: Decision, other: Decision) -> bool:
    return (one.sample, one.chosen, one.action, one.time) == (other.sample, other.chosen, other.action, other.time)


__all__ = ["FOLDER", "MOST", "Decision", "PickJournal", "annotators", "check_annotator", "decisions_by_annotator"]
