"""Folders of weights in the hub's layout: where the part is, and what its checksum is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from idiff.errors import CheckpointError
from idiff.utils.files import sha256_file
from idiff.utils.foreign import read_json

PARTS = ("unet", "vae", "text_encoder", "tokenizer")
"""The folders of a model in the hub's layout."""

DESCRIPTION = "idiff.json"
"""The file beside them in which an exported model says what it is."""


INDEX = "model_index.json"
"""The file in which a pipeline of diffusers says what it is."""


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a whole model, in diffusers' layout or as this project exports it, and not a part alone."""
    return any((folder / name).exists() for name in (DESCRIPTION, INDEX, "unet"))


def subfolder(folder: str | Path, part: str) -> Path:
    """Find a part of a model: `folder/part` of a pipeline's folder, the folder itself, or where the folder's idiff.json says.

    Args:
        folder: whatever `idiff.models.io.resolve` knows: a local folder in diffusers' layout, a single file, a name.
        part: `vae`, `text_encoder`, `tokenizer` or `unet`.

    Raises:
        CheckpointError: there is no such folder, it holds no `config.json` (for the tokenizer: `vocab.json`), or a single file
            cannot be converted.
    """
    from idiff.models.io.resolve import model_folder  # which needs this module to convert a single file

    root = model_folder(folder, family="any")
    marks = ("vocab.json", "tokenizer.json") if part == "tokenizer" else ("config.json",)
    elsewhere = _shared(root, part)
    for place in (elsewhere,) if elsewhere else (root / part, root):
        if any((place / mark).is_file() for mark in marks):
            return place
    state = "holds none" if root.is_dir() else "does not exist"
    raise CheckpointError(
        f"{folder} {state}: expected a folder with {' or '.join(marks)}, or one with {part}/ inside. "
        f"Give the folder that a training of this project or diffusers' save_pretrained wrote."
    )


def _shared(root: Path, part: str) -> Path | None:
    """Where an exported model keeps a part that it shares with others."""
    try:
        where = read_json(root / DESCRIPTION)["parts"].get(part)
    except Exception:  # read_description says what is wrong with it
        return None
    return None if where is None else (root / str(where)).resolve()


def folder_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of the `.safetensors`, `.bin` and `.json` files of a folder, in name order."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".bin", ".json"}:
            digest.update(f"{path.name}:{sha256_file(path)};".encode())
    return digest.hexdigest()
