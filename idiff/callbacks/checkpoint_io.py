"""Checkpoints that a crash never destroys: written beside the old one, then put in its place in one move."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from idiff.errors import CheckpointError
from idiff.utils.files import sha256_file, sync_folder, write_atomic
from idiff.utils.foreign import decoding, read_json

SUFFIX = ".check.json"
"""Ending of the file beside a checkpoint: step, size and SHA-256 of what counts as whole."""


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
        temporary = target.with_name(f".{target.name}.tmp")
        step = int(checkpoint.get("global_step", 0))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            new = {"step": step, "size": temporary.stat().st_size, "sha256": sha256_file(temporary)}
            _write_check(target, [*_current(target), new])
            temporary.replace(target)
            sync_folder(target.parent)
            _write_check(target, [new])
        except (OSError, RuntimeError, CheckpointError) as error:
            size = 0
            if temporary.exists():
                size = temporary.stat().st_size
                temporary.unlink()
            cause = error.__cause__ or error
            full = isinstance(cause, OSError) and cause.errno == errno.ENOSPC
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
        """Load tensors and plain values; nothing in the file runs.

        Raises:
            CheckpointError: the file is damaged, or holds more than tensors and plain values.
        """
        with decoding(
            lambda reason: CheckpointError(
                f"{path} cannot be read as a checkpoint ({reason}): it is cut short, or not tensors and plain values alone. "
                "Use another checkpoint of the run."
            )
        ):
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
    claims = [
        (max((record["step"] for record in _records(path)), default=-1), path) for path in Path(folder).glob("*.ckpt")
    ]
    found: tuple[int, Path] | None = None
    passed: list[str] = []
    for claim, path in sorted(claims, reverse=True):
        if found is not None and 0 <= claim <= found[0]:
            continue
        record = verified(path)
        if record is None:
            check = _check_file(path)
            why = (
                f"its size or SHA-256 is not what {check.name} says" if check.is_file() else f"{check.name} is missing"
            )
            passed.append(f"{path} is damaged: {why}")
        elif found is None or record["step"] > found[0]:
            found = (record["step"], path)
    if claims and found is None:
        raise CheckpointError(
            f"no checkpoint in {folder} is whole: {'; '.join(passed)}. Start anew without --ckpt_path, in another folder."
        )
    return (None if found is None else found[1]), passed


def verified(path: Path) -> dict[str, Any] | None:
    """The record of the check file (step, size, sha256) that the file's bytes agree with, or None."""
    size = path.stat().st_size
    records = [record for record in _records(path) if record["size"] == size]
    digest = sha256_file(path) if records else None
    return next((record for record in records if record["sha256"] == digest), None)


def _check_file(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _records(path: Path) -> list[dict[str, Any]]:
    """What counts as whole; two records where a save was cut short."""
    try:
        records = read_json(_check_file(path))["whole"]
        return [{"step": int(r["step"]), "size": int(r["size"]), "sha256": str(r["sha256"])} for r in records]
    except Exception:  # a damaged file is of any form
        return []


def _current(path: Path) -> list[dict[str, Any]]:
    """The record of what is on the disk now, where there is one."""
    records = _records(path)
    if len(records) > 1 and path.exists():  # the last save was cut short: before or after the rename?
        record = verified(path)
        return [] if record is None else [record]
    return records[:1]


def _write_check(path: Path, whole: list[dict[str, Any]]) -> None:
    write_atomic(_check_file(path), json.dumps({"whole": whole}), error=CheckpointError)
