"""What a raw data set reader is: it yields facts and image files, never painted pixels."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiff.errors import BadSampleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idiff.types import Labels, Picture, Sample, WideLabels


@dataclass(slots=True)
class RawSample:
    """A `Sample` before it is stored: images may be the bytes of their files, which pass through unchanged.

    Attributes:
        key: unique in its set; letters, digits, `_` and `-` only, at most 80.
        image: bytes of a JPEG, PNG or WebP file, or uint8 (H, W, 3) RGB, which is stored as PNG.
        annotation: JSON-able facts, as in `Sample`.
        label: bytes of a PNG label map, or uint8 (H, W), 255 = void, or uint16 (H, W), 65535 = void.
        target: the given answer, as `image`.
        rejected: an answer that people found worse, as `image`.
        maps: further numbers for each pixel by name, such as `depth`: bytes of a gray PNG of 8 or 16 bits or of an `.npy`
            file, or an array as in `Sample`. uint8 and uint16 of (H, W) are stored as PNG, other arrays as `.npy`.
    """

    key: str
    image: bytes | Picture
    annotation: dict[str, Any]
    label: bytes | Labels | WideLabels | None = None
    target: bytes | Picture | None = None
    rejected: bytes | Picture | None = None
    maps: Mapping[str, bytes | NDArray[Any]] = field(default_factory=dict)


class Source(ABC):
    """A raw data set that `idiff data build` turns into shards.

    The order of samples is fixed, and a sample depends on its index alone, so that any number of workers builds the
    same bytes. A source is sent to worker processes, so it must be picklable; it opens files in `sample`, not before.

    Attributes:
        tasks: kinds of the tasks that this set serves; the first is the default.
        unit: what one item is for the default task: `picture`, `instances` or `phrases`.
    """

    tasks: Sequence[str]
    unit: str = "picture"

    @abstractmethod
    def meta(self) -> dict[str, Any]:
        """JSON-able facts shared by the whole set: `classes`, `skeletons` (see `Sample.meta`)."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples, before unreadable ones are left out."""

    @abstractmethod
    def sample(self, index: int) -> Sample | RawSample:
        """Read one sample, 0 <= index < len.

        Raises:
            BadSampleError: this one cannot be used; the build counts it, names it and goes on.
        """

    def funnel(self) -> dict[str, int]:
        """How many images were left after each step of listing, in order; the last value is `len(self)`."""
        return {"found": len(self)}

    def notes(self) -> list[str]:
        """Sentences about the set that a person should read when it is built."""
        return []


def read_file(path: Path, *, where: str, field: str) -> bytes:
    """Read a raw file whole.

    Raises:
        BadSampleError: it is missing or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSampleError(where, field, f"{path} cannot be read: {error.strerror}") from error


def safe_key(name: str) -> str:
    """Make a sample key of a file's stem: every other character than letters, digits, `_` and `-` becomes `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80]
