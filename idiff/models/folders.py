"""Folders of weights in the hub's layout: where the part is, and what its checksum is."""

from __future__ import annotations

import hashlib
from pathlib import Path

from idiff.errors import CheckpointError


def subfolder(folder: str | Path, part: str) -> Path:
    """Find a part of a model: `folder/part` of a pipeline's folder, or the folder itself.

    Args:
        folder: a local folder in diffusers' layout.
        part: `vae`, `text_encoder`, `tokenizer` or `unet`.

    Raises:
        CheckpointError: there is no such folder, or it holds no `config.json` (for the tokenizer: `vocab.json`).
    """
    root = Path(folder)
    marks = ("vocab.json", "tokenizer.json") if part == "tokenizer" else ("config.json",)
    for place in (root / part, root):
        if any((place / mark).is_file() for mark in marks):
            return place
    state = "holds none" if root.is_dir() else "does not exist"
    raise CheckpointError(
        f"{folder} {state}: expected a folder with {' or '.join(marks)}, or one with {part}/ inside. "
        f"Give the folder that a training of this project or diffusers' save_pretrained wrote."
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_sha256(folder: Path) -> str:
    """SHA-256 over names and contents of the `.safetensors` and `.json` files of a folder, in name order."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".json"}:
            digest.update(f"{path.name}:{file_sha256(path)};".encode())
    return digest.hexdigest()
