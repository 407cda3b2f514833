"""Files of weights in the hub's layout, looked at before a library reads them: whole, fetched, and of which variant."""

from __future__ import annotations

import json
from pathlib import Path

from idiff.errors import CheckpointError
from idiff.utils.foreign import decoding, read_json

STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
ENDINGS = (".safetensors", ".bin")
POINTER = b"version https://git-lfs"
"""How a file begins that stands for one that git LFS has not fetched."""


def variant_of(folder: Path, *, part: str) -> str | None:
    """Look at the weights of a folder.

    Args:
        folder: with `config.json` and weights.
        part: names the network in errors, such as `autoencoder`.

    Returns:
        the variant to ask for, such as `fp16`, where there are no plain weights; else None.

    Raises:
        CheckpointError: there are no weights, or a file of them is missing, cut short, or not fetched by git LFS.
    """
    there = sorted(path for ending in ENDINGS for path in folder.glob(f"*{ending}") if path.name.startswith(STEMS))
    indices = sorted(path for stem in STEMS for path in folder.glob(f"{stem}*.index.json"))
    if not there:
        named = ", ".join(f"{stem}.safetensors" for stem in STEMS[:2])
        raise CheckpointError(f"{folder} has no weights of the {part}: expected {named}. Get the whole folder.")
    for path in there:
        _check(path)
    for index in indices:
        _check_index(index)
    plain = [
        path for path in [*there, *indices] if path.name.split(".")[0].split("-0")[0] in STEMS and not _variant(path)
    ]
    return None if plain else _variant(there[0])


def _variant(path: Path) -> str | None:
    """`fp16` of `model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors` and `model.safetensors.index.fp16.json`."""
    words = [word.split("-")[0] for word in path.name.split(".")[1:]]
    return next((word for word in words if word not in {"safetensors", "bin", "index", "json"}), None)


def _check(path: Path) -> None:
    """Refuse a file that is not whole."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(len(POINTER))
            if head == POINTER:
                raise CheckpointError(
                    f"{path} is a pointer of git LFS, not the weights: run `git lfs install` and `git lfs pull` in its folder."
                )
            whole = size
            if path.suffix == ".safetensors":
                stream.seek(0)
                length = int.from_bytes(stream.read(8), "little")
                header = stream.read(length) if length < size else b""
                whole = 8 + length + _data_bytes(header) if header else max(8 + length, size + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}. Get the file again.") from None
    if size == 0 or size < whole:
        of = f" of {whole:,}" if whole < 1 << 45 else ""
        raise CheckpointError(f"{path} is cut short or damaged: {size:,} bytes{of}. Get the file again.")


def _data_bytes(header: bytes) -> int:
    """Bytes that follow the header of a safetensors file; 0 where the header is none, which its library then says."""
    try:
        entries = json.loads(header)
        return max(
            (int(each["data_offsets"][1]) for name, each in entries.items() if name != "__metadata__"), default=0
        )
    except Exception:  # whatever stands in the place of a header
        return 0


def _check_index(index: Path) -> None:
    """Refuse an index whose files are not all there."""
    with decoding(lambda reason: CheckpointError(f"{index} is no index of weights ({reason}). Get the file again.")):
        files = sorted(set(read_json(index)["weight_map"].values()))
        missing = [name for name in files if not (index.parent / str(name)).is_file()]
    if missing:
        raise CheckpointError(
            f"{index.parent} is not whole: {len(missing)} of {len(files)} files of weights are missing ({missing[0]}). Get them."
        )
