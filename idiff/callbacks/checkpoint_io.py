"""Checkpoints that a crash never destroys: written beside the old one, then put in its place in one move."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from idiff.errors import CheckpointError

SUFFIX = ".check.json"
"""File beside a checkpoint: its step, and the sizes and SHA-256 that count as whole."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write to a temporary file in the same folder, flush it to the disk, rename it over the old one.

    The check file names the old and the new content while the rename is under way, so that a kill at any moment leaves a
    checkpoint that verifies.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Save.

        Raises:
            CheckpointError: the disk is full or the folder cannot be written; the checkpoint before is intact.
        """
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            new = {"size": temporary.stat().st_size, "sha256": _sha256(temporary)}
            old = _records(target)
            _write_check(target, int(checkpoint.get("global_step", 0)), [*old[:1], new])
            temporary.replace(target)
            _sync_folder(target.parent)
            _write_check(target, int(checkpoint.get("global_step", 0)), [new])
        except (OSError, RuntimeError) as error:
            size = temporary.stat().st_size if temporary.exists() else 0
            temporary.unlink(missing_ok=True)
            full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            reason = "the disk is full" if full else str(error).splitlines()[0]
            raise CheckpointError(
                f"cannot save {target} ({size} bytes were written): {reason}. The checkpoint before it is intact; "
                "make room and resume with --ckpt_path last."
            ) from error

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint and its check file."""
        super().remove_checkpoint(path)
        _check_file(Path(path)).unlink(missing_ok=True)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> Any:
        """Load tensors and plain values; nothing in the file runs."""
        return super().load_checkpoint(path, map_location=map_location, weights_only=True)


def newest(folder: str | Path) -> tuple[Path | None, list[str]]:
    """Find the checkpoint of the highest step that verifies.

    Args:
        folder: where checkpoints lie.

    Returns:
        its path, or None where there is no checkpoint at all; and a sentence for each that was passed over.

    Raises:
        CheckpointError: there are checkpoints and none verifies.
    """
    candidates = [(_step(path), path) for path in sorted(Path(folder).glob("*.ckpt"))]
    passed: list[str] = []
    for _, path in sorted(candidates, reverse=True):
        if verifies(path):
            return path, passed
        passed.append(f"{path} is damaged: its size or SHA-256 is not what {_check_file(path).name} says")
    if candidates:
        raise CheckpointError(
            f"no checkpoint in {folder} is whole: {'; '.join(passed)}. Start anew without --ckpt_path, in another folder."
        )
    return None, passed


def verifies(path: Path) -> bool:
    """Whether size and SHA-256 are among those its check file names."""
    size = path.stat().st_size
    digest = None
    for record in _records(path):
        if record["size"] == size:
            digest = digest or _sha256(path)
            if record["sha256"] == digest:
                return True
    return False


def _check_file(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_check_file(path).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _records(path: Path) -> list[dict[str, Any]]:
    """What counts as whole, newest last; of two records (a save was cut) the one that is on the disk comes first."""
    records: list[dict[str, Any]] = _content(path).get("whole", [])
    if len(records) > 1 and path.exists():
        size = path.stat().st_size
        records = sorted(records, key=lambda record: record["size"] != size)
    return records


def _step(path: Path) -> int:
    return int(_content(path).get("step", -1))


def _write_check(path: Path, step: int, whole: list[dict[str, Any]]) -> None:
    file = _check_file(path)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with temporary.open("w") as stream:
        json.dump({"step": step, "whole": whole}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
