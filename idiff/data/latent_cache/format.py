"""Examples that were painted and encoded beforehand: the format of a latent cache, and its reader.

    cache.json                  schema, task, settings, views, seed, rows, SHA-256 of data, autoencoder and text encoder
    part-00000/mean.npy ...     arrays of some thousand examples each; a part's folder appears whole or not at all
    states.npy                  the hidden states of every distinct prompt, once

Nothing in it is a pickle. Painting happens when examples are loaded, so what is cached is a set of drawn views: K of each item.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import DataError, missing
from idiff.utils.files import write_atomic
from idiff.utils.foreign import decoding, parse_json, read_json, read_regular

SCHEMA = 2
NAME = "cache.json"
PLAN = "plan.json"
"""What a cache that is not whole yet is going to be."""

STATES = "states.npy"
ROWS = 4096
"""Examples of a part: what a killed build loses at most."""


@dataclass(slots=True)
class CacheManifest:
    """The contents of `cache.json`.

    Attributes:
        task: kind of the task. settings: what decides how its examples are drawn, as plain values.
        data: fingerprint of the shards. items: how many the task has there. views: drawn of each. seed: of the drawing.
        rows: examples in all, bad samples left out; `parts`: how many each folder has.
        autoencoder, text: SHA-256 of the weights that encoded them.
    """

    task: str
    settings: dict[str, Any]
    data: str
    items: int
    views: int
    seed: int
    rows: int
    parts: list[int]
    autoencoder: str
    text: str

    def save(self, folder: Path) -> None:
        """Write `cache.json` atomically, last: a folder without it is not a whole cache."""
        text = json.dumps(asdict(self) | {"schema": SCHEMA}, indent=1, sort_keys=True)
        write_atomic(folder / NAME, text.encode() + b"\n")


@dataclass(slots=True)
class CachedTriplet:
    """One example of a cache: float16 latents (C, h, w), and the number of its prompt's states.

    Attributes:
        mean, std: posterior of the target, unscaled. source: mode of the source, unscaled; None for text-to-image.
        changed: bool (1, h, w) or None. prompt: index into the states of the cache. instruction: the prompt itself.
        key: of the item. query: what a predictor may know.
        labels: uint8 (H, W) and names: what the source shows, see `Parts`; None where the data does not say.
    """

    mean: Tensor
    std: Tensor
    source: Tensor | None
    changed: Tensor | None
    prompt: int
    instruction: str
    key: str
    query: dict[str, Any]
    labels: Tensor | None
    names: list[str] | None


class LatentCache:
    """A cache opened for reading. Arrays are memory-mapped, so worker processes share them.

    Args:
        folder: which `idiff data cache` wrote.

    Raises:
        DataError: the folder holds no whole cache.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / NAME
        if not path.is_file():
            raise missing(
                path, what="a latent cache", remedy="`idiff data cache` makes one; run it again to finish it."
            )
        again = "make the cache again."
        with decoding(lambda reason: DataError(f"{path} is not a manifest of a latent cache ({reason}): {again}")):
            values = read_json(path)
            schema = values.pop("schema")
            self.manifest = CacheManifest(**values)
            if schema != SCHEMA:
                raise DataError(f"{path} has schema {schema}, this version reads {SCHEMA}: {again}")
            self.ends = np.cumsum(np.array(self.manifest.parts, dtype=np.int64))
        self._arrays: dict[int, dict[str, NDArray[Any]]] = {}
        self._lines: dict[int, tuple[list[bytes], list[list[str]]]] = {}
        self._states: NDArray[np.float16] | None = None
        for number, rows in enumerate(self.manifest.parts):
            if len(self._part(number)["mean"]) != rows:
                raise DataError(f"{part_folder(self.folder, number)} is not what {NAME} says: make the cache again.")
        self._arrays.clear()  # every process maps them by itself

    def __len__(self) -> int:
        return self.manifest.rows

    def _part(self, number: int) -> dict[str, NDArray[Any]]:
        if number not in self._arrays:
            folder = part_folder(self.folder, number)
            with decoding(
                lambda reason: DataError(f"{folder} is missing or damaged ({reason}): make the cache again.")
            ):
                arrays = {
                    file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in sorted(folder.glob("*.npy"))
                }
                self._arrays[number] = {name: arrays.pop(name) for name in ("mean", "std", "prompt")} | arrays
        return self._arrays[number]

    def _described(self, number: int) -> tuple[list[bytes], list[list[str]]]:
        """A part's examples as JSON lines, and the lists of names they refer to."""
        if number not in self._lines:
            folder = part_folder(self.folder, number)
            names = read_json(folder / "names.json")
            self._lines[number] = read_regular(folder / "rows.jsonl").splitlines(), names
        return self._lines[number]

    def states(self, prompts: NDArray[np.int64] | list[int]) -> Tensor:
        """Hidden states of prompts by their numbers: float16 (P, L, D). Number 0 is the empty prompt."""
        if self._states is None:
            self._states = np.load(self.folder / STATES, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(self._states[np.asarray(prompts, dtype=np.int64)])

    def example(self, index: int) -> CachedTriplet:
        """Read one example, 0 <= index < len."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        where = part_folder(self.folder, number)
        with decoding(lambda reason: DataError(f"{where}: row {index} is damaged ({reason}): make the cache again.")):
            return self._read(number, index)

    def _read(self, number: int, index: int) -> CachedTriplet:
        arrays = self._part(number)
        local = index - (int(self.ends[number - 1]) if number else 0)

        def tensor(name: str) -> Tensor:
            return torch.from_numpy(np.array(arrays[name][local]))

        lines, names = self._described(number)
        described = parse_json(lines[local], finite=False)
        return CachedTriplet(
            mean=tensor("mean"),
            std=tensor("std"),
            source=tensor("source") if "source" in arrays else None,
            changed=tensor("changed") if "changed" in arrays else None,
            prompt=int(arrays["prompt"][local]),
            instruction=str(described["instruction"]),
            key=str(described["key"]),
            query=described["query"],
            labels=tensor("labels") if "labels" in arrays else None,
            names=None if described["names"] is None else names[described["names"]],
        )


def part_folder(folder: Path, number: int) -> Path:
    """Folder of a part."""
    return folder / f"part-{number:05d}"
