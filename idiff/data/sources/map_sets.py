"""What sets of images with maps of numbers have in common: pairs by name, units, and the shape of a map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idiff.data.shards.schema import decode_named
from idiff.data.sources.base import RawSample, Source, read_file
from idiff.data.sources.converting import check_known, read_picture, suffix_notes
from idiff.data.sources.pictures import make_keys
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import picture_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL = "label"
"""The name of an entry's label map, which is no map of numbers of its own."""


@dataclass(frozen=True, slots=True)
class MapEntry:
    """One image of a set and the files of its maps.

    Attributes:
        name: unique in its set; the key is made of it.
        image: the file, there or not.
        files: name of a map -> its file; `LABEL` for a label map.
        facts: for the annotation, besides the file names.
    """

    name: str
    image: Path
    files: Mapping[str, Path]
    facts: Mapping[str, Any] = field(default_factory=dict)


class MapSet(Source):
    """One sample an image, with its maps. A subclass lists the entries and says what the numbers of a file mean.

    Args:
        entries: in order.
        told: sentences about the set.
        lists: files that name the entries.
    """

    def __init__(self, entries: Sequence[MapEntry], *, told: Sequence[str] = (), lists: Sequence[Path] = ()) -> None:
        self.entries, self.told, self.lists = list(entries), list(told), list(lists)
        self.keys = make_keys(entry.name for entry in entries)

    def meta(self) -> dict[str, Any]:
        """Nothing is shared."""
        return {}

    def __len__(self) -> int:
        return len(self.entries)

    def notes(self) -> list[str]:
        """Files that are converted, and what else was told."""
        return [*suffix_notes(entry.image for entry in self.entries), *self.told]

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists."""
        return self.lists

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image and its maps."""
        entry = self.entries[index]
        return list(dict.fromkeys([entry.image, *entry.files.values()]))

    def sample(self, index: int) -> RawSample:
        """Read one image and its maps."""
        entry = self.entries[index]
        data = self.picture(entry)
        size = data.shape[:2] if isinstance(data, np.ndarray) else picture_size(data, where=entry.name)
        maps: dict[str, Any] = {}
        for name, path in entry.files.items():
            maps[name], shape = self.values(entry, name)
            if shape[:2] != size:
                raise BadSampleError(
                    entry.name,
                    name,
                    f"{path.name} has {shape[1]}x{shape[0]} pixels, expected {size[1]}x{size[0]} as the image has",
                )
            check_known(maps[name], where=entry.name, field=name, file=path.name)
        named = {f"{name}_name": path.name for name, path in entry.files.items() if path != entry.image}
        facts = {"file_name": entry.image.name} | named | dict(entry.facts)
        return RawSample(self.keys[index], data, facts, label=maps.pop(LABEL, None), maps=maps)

    def picture(self, entry: MapEntry) -> Any:
        """The image: bytes of a file, or uint8 (H, W, 3).

        Raises:
            BadSampleError: it cannot be read.
        """
        return read_picture(entry.image, where=entry.name, field="source")

    @abstractmethod
    def values(self, entry: MapEntry, name: str) -> tuple[bytes | NDArray[Any], tuple[int, ...]]:
        """One map as `RawSample` holds it, and its shape.

        Raises:
            BadSampleError: it cannot be read, or holds something else.
        """


def read_numbers(path: Path, *, where: str, field: str, channels: int | None = None) -> NDArray[Any]:
    """Read a map out of a gray PNG or an NPY; an axis of length 1 behind (H, W) is left out.

    Args:
        path: the file.
        where: names the sample in errors.
        field: names the map in errors.
        channels: numbers at each pixel; None: one, without an axis of its own.

    Raises:
        BadSampleError: it cannot be read, or has another number of channels.
    """
    values = decode_named(read_file(path, where=where, field=field), where=where, field=field)
    if channels is None and values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    expected = () if channels is None else (channels,)
    if values.shape[2:] != expected:
        raise BadSampleError(
            where, field, f"{path.name} has shape {values.shape}, expected (H, W{''.join(f', {n}' for n in expected)})"
        )
    return values


def meters(values: NDArray[Any], *, scale: float) -> NDArray[np.float32]:
    """Numbers divided by a scale, 0 where they are not finite or not larger than 0. Shape as given."""
    scaled = values.astype(np.float64) / scale
    return np.where(np.isfinite(scaled) & (scaled > 0), scaled, 0).astype(np.float32)


def unit_vectors(values: NDArray[Any]) -> NDArray[np.float32]:
    """Vectors (..., 3) of length 1; 0 where a number is not finite or the length is below 0.1."""
    wide = values.astype(np.float64)
    lengths = np.linalg.norm(np.where(np.isfinite(wide), wide, 0), axis=-1, keepdims=True)
    good = np.isfinite(wide).all(axis=-1, keepdims=True) & (lengths > 0.1)
    return np.where(good, wide / np.where(good, lengths, 1), 0).astype(np.float32)


def first_of(root: Path, patterns: Sequence[str], *, what: str, remedy: str) -> Path:
    """The first of some folders below a root that is there.

    Raises:
        DataError: none is; names them, and what is there instead.
    """
    for pattern in patterns:
        if (root / pattern).is_dir():
            return root / pattern
    inside = sorted(path.name for path in root.iterdir())[:8] if root.is_dir() else []
    holds = f"there are {', '.join(inside)}" if inside else "it is empty"
    if not root.is_dir():
        raise DataError(
            f"{root} is {'a file' if root.exists() else 'missing'}: expected a folder with {what}. {remedy}"
        )
    raise DataError(f"{root} has no {' or '.join(patterns)} with {what}: {holds}. {remedy}")


def check_some(entries: Iterable[MapEntry], *, what: str, remedy: str) -> None:
    """Refuse a list of which nothing is there, so that this is one sentence and not a bad sample for each.

    Raises:
        DataError: none of the first 20 images is there.
    """
    some = [entry.image for entry, _ in zip(entries, range(20), strict=False)]
    if some and not any(path.is_file() for path in some):
        raise DataError(f"{some[0]} is missing, and so are the next: expected {what}. {remedy}")
