"""Where the presets of a model lie: in the idiff.json of an exported folder, or in presets.json beside a training checkpoint.

    presets.json    {SHA-256 of the checkpoint: {"file": its name, "presets": {task: preset}}}

A training overwrites its checkpoints, so that presets count for the bytes they were found with and for no others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from idiff.errors import CheckpointError
from idiff.models.io.export import read_description
from idiff.models.io.folders import DESCRIPTION, is_whole
from idiff.models.io.importing.held import is_foreign
from idiff.models.io.pretrained import located
from idiff.utils.files import lock, write_atomic
from idiff.utils.foreign import decoding, read_json
from idiff.utils.presets import Preset

BESIDE = "presets.json"
"""The file beside the checkpoints of a training."""


def presets_of(values: Any, *, origin: str) -> dict[str, Preset]:
    """Read presets by task from plain values; None: there are none.

    Raises:
        CheckpointError: a value that is not a preset.
    """
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise CheckpointError(f"{origin}: presets is a {type(values).__name__}, expected presets by task. Take it out.")
    return {str(task): Preset.of(value, origin=f"{origin}: presets: {task}") for task, value in values.items()}


def presets_beside(checkpoint: Path, *, sha256: str) -> dict[str, Preset]:
    """The presets of a training checkpoint, from the file beside it; none where there is no file, or none for these bytes.

    Raises:
        CheckpointError: the file cannot be read.
    """
    file = checkpoint.parent / BESIDE
    entry = _read_beside(file).get(sha256)
    return {} if entry is None else presets_of(entry["presets"], origin=str(file))


def check_storable(path: str | Path) -> None:
    """Refuse, before anything is computed, a model that presets cannot be stored with.

    Raises:
        CheckpointError: it comes with the package, is no export of this project, or its folder cannot be written.
    """
    place = located(path)
    if place != Path(path):
        raise CheckpointError(
            f"'{path}' comes with the package, and its presets with it: store presets in a folder of your own "
            f"(idiff export --checkpoint {path} --out DIR)."
        )
    plain = is_whole(place) and not (place / DESCRIPTION).is_file()
    if plain or (place.is_file() and is_foreign(place)):
        raise CheckpointError(f"{path} has no place for presets: import it first (idiff import {path} --out DIR).")
    folder = place if place.is_dir() else place.parent
    if not os.access(folder, os.W_OK):
        raise CheckpointError(
            f"{folder} cannot be written: presets are stored there. Copy the model to another folder."
        )


def store_preset(path: str | Path, task: str, preset: Preset, *, sha256: str) -> Path:
    """Keep a preset with its model, in place of the task's earlier one. Other tasks' presets stay.

    Args:
        path: an exported folder, or a `.ckpt` file.
        task: name in the training.
        preset: what is kept.
        sha256: of the checkpoint, see `Loaded`.

    Returns:
        the file that was written; it changes whole or not at all.

    Raises:
        CheckpointError: as `check_storable`; or what is there cannot be read.
    """
    check_storable(path)
    place = Path(path)
    if place.is_dir():

        def described() -> dict[str, Any]:
            description = read_description(place)
            presets = presets_of(description.get("presets"), origin=str(place / DESCRIPTION)) | {task: preset}
            return description | {"presets": plain(presets)}

        return _changed(place / DESCRIPTION, described)

    def beside() -> dict[str, Any]:
        entries = _read_beside(place.parent / BESIDE)
        own = entries.get(sha256, {"file": place.name, "presets": {}})
        kept = {sha: entry for sha, entry in entries.items() if sha == sha256 or entry["file"] != place.name}
        return kept | {sha256: own | {"presets": own["presets"] | {task: preset.describe()}}}

    return _changed(place.parent / BESIDE, beside)


def plain(presets: Mapping[str, Preset]) -> dict[str, Any]:
    """Presets by task as plain values."""
    return {task: preset.describe() for task, preset in presets.items()}


def _read_beside(file: Path) -> dict[str, dict[str, Any]]:
    if not file.exists():
        return {}
    expected = "expected what `idiff tune --store` writes. Put it right, or move it away."
    with decoding(lambda reason: CheckpointError(f"{file} cannot be read as presets ({reason}): {expected}")):
        entries: dict[str, dict[str, Any]] = read_json(file)
        for sha256, entry in entries.items():
            if not (isinstance(entry["presets"], dict) and isinstance(entry["file"], str)):
                raise ValueError(f"{sha256[:12]} has no file and presets")
    return entries


def _changed(file: Path, content: Callable[[], dict[str, Any]]) -> Path:
    """Write what a file is to hold while nobody else of this project changes the folder.

    Raises:
        CheckpointError: it cannot be written.
    """
    handle = os.open(file.parent, os.O_RDONLY)
    try:
        lock(handle)
        text = json.dumps(content(), indent=1, sort_keys=True) + "\n"
        write_atomic(file, text, error=CheckpointError, remedy="Free some space or name another.")
    finally:
        os.close(handle)
    return file
