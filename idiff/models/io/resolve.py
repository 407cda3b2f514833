"""One rule for every setting that takes weights: a name, a folder, a single file of anybody's, or a checkpoint of this project.

A single file is converted once into a folder of the cache (`IDIFF_CACHE`, else ~/.cache/idiff) and read from there.
"""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

from idiff.errors import CheckpointError
from idiff.models.io.folders import DESCRIPTION, is_whole
from idiff.models.io.importing.held import WEIGHTS, is_ours
from idiff.models.io.importing.importer import import_model
from idiff.models.io.pretrained import located
from idiff.utils.files import lock

log = logging.getLogger(__name__)

CACHE = "IDIFF_CACHE"
OF_FOLDERS = ("diffusion_pytorch_model.", "pytorch_model.", "model.safetensors", "model.fp16.safetensors")
"""What the weights of a hub's folder are called: without a `config.json` it is not whole, and no single file either."""

KIND = 1
"""Counts up when files are converted in another way."""


def model_folder(path: str | Path, *, family: str = "auto") -> Path:
    """The folder of a model in the hub's layout, or of one of its parts; a single file's is made first.

    Args:
        path: a name, a folder, or a file.
        family: of a single file: `auto`, or `any` where its weights are all that is asked for.

    Returns:
        a folder, or the path as it is where nothing is there.

    Raises:
        CheckpointError: the file cannot be used.
        ConfigError: its family cannot be told.
    """
    place = located(path)
    if place.is_dir() and not is_whole(place) and not (place / "config.json").is_file():
        files = [file for file in place.iterdir() if file.suffix in WEIGHTS and not file.name.startswith(OF_FOLDERS)]
        place = files[0] if len(files) == 1 else place
    if not place.is_file() or place.suffix not in WEIGHTS:
        return place
    return _converted(place, family)


def _converted(file: Path, family: str) -> Path:
    facts = file.stat()
    told = f"{KIND}:{file.resolve()}:{facts.st_size}:{facts.st_mtime_ns}:{family}"
    root = Path(os.environ.get(CACHE) or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "idiff").expanduser()
    target = root / "models" / f"{file.stem}-{hashlib.sha256(told.encode()).hexdigest()[:16]}"
    if (target / DESCRIPTION).is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / ".lock").open("w") as handle:
            lock(handle)
            if not (target / DESCRIPTION).is_file():
                _convert(file, target, family)
    except OSError as error:
        raise CheckpointError(
            f"{target} cannot be written: {error.strerror}. Set {CACHE} to a folder that can."
        ) from None
    return target


def _convert(file: Path, target: Path, family: str) -> None:
    """Write the folder of a file."""
    if is_ours(file):
        from idiff.models.io.checkpoint import load
        from idiff.models.io.export import write_folder

        loaded = load(file)
        write_folder(
            loaded.backbone, target, config=loaded.config, step=loaded.step, half=False, presets=loaded.presets
        )
    else:
        import_model(file, target, family=family)  # type: ignore[arg-type]
    log.warning("%s was converted once into %s", file, target)
