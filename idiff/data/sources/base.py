"""What a raw data set reader is: it yields facts and image files, never painted pixels."""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from idiff.errors import BadSampleError
from idiff.utils.foreign import read_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idiff.types import AnyLabels, Picture, Sample


MAX_BYTES = 256 << 20
"""A larger file of a sample is refused before it is read, as shards refuse it."""


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
    label: bytes | AnyLabels | None = None
    target: bytes | Picture | None = None
    rejected: bytes | Picture | None = None
    maps: Mapping[str, bytes | NDArray[Any]] = field(default_factory=dict)


class Stored(ABC):
    """An image inside of a larger file: a cell of a table, a block of an array, a member of an archive.

    Attributes:
        path: of the file.
        name: of the image, for annotations and errors.
    """

    path: Path
    name: str

    @abstractmethod
    def read(self, *, where: str, field: str) -> bytes:
        """The bytes of an image file.

        Raises:
            BadSampleError: it cannot be read.
        """

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.name).stem


def files_of(*images: Path | Stored | None) -> list[Path]:
    """The files that some images lie in."""
    return [image.path if isinstance(image, Stored) else image for image in images if image is not None]


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

    def set_inputs(self) -> Sequence[Path | str]:
        """What all samples depend on: the files of lists and annotations, and words for what was found out of other files.

        A build that is run again compares their bytes, and builds again what is no longer right.
        """
        return ()

    def sample_inputs(self, index: int) -> Sequence[Path] | None:
        """The files that a sample is read from, there or not; none is opened. None: not known.

        A build that is run again compares their sizes and times of change, and builds again what is no longer right.
        """
        return None


def read_file(path: Path, *, where: str, field: str) -> bytes:
    """Read a raw file whole.

    Raises:
        BadSampleError: it is missing or unreadable.
    """
    try:
        return read_regular(path, most=MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadSampleError(where, field, f"{path} cannot be read: {reason}") from error


def safe_key(name: str) -> str:
    """Make a sample key of a file's stem: every other character than letters, digits, `_` and `-` becomes `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:80]


def safe_keys(names: Sequence[str]) -> list[str]:
    """`safe_key` of each name; keys that several names would share, or that have no letter or digit, get a hash."""
    from idiff.utils.seeds import hash64  # loads torch

    plain = [safe_key(name) for name in names]
    count = Counter(plain)
    return [
        key if count[key] == 1 and re.search("[A-Za-z0-9]", key)
        else f"{key[:60].strip('-') or 'x'}-{hash64(name.encode('utf-8', 'surrogatepass').hex()):016x}"
        for name, key in zip(names, plain, strict=True)
    ]  # fmt: skip


def locate(folder: Path, name: str) -> Path:
    """The file that an annotation names: as it is written, with `/` for a backslash, or as the folder spells it.

    Folders spell names in other cases of letters, and accents in one code point or two. A name that is not there comes back
    as it was given.
    """
    for path in (folder / name, folder / name.replace("\\", "/")):
        if path.is_file():
            return path
    path = folder / name.replace("\\", "/")
    try:
        found = _spelled(path.parent, path.parent.stat().st_mtime_ns).get(spelling(path.name), [])
    except (OSError, ValueError):
        return folder / name
    return path.with_name(found[0]) if len(found) == 1 else folder / name


def spelling(name: str) -> str:
    """A name without what file systems and archives change: case of letters, and how accents are composed."""
    return unicodedata.normalize("NFC", name).casefold()


@lru_cache(maxsize=64)
def _spelled(folder: Path, _changed: int) -> dict[str, list[str]]:
    """The names in a folder by their `spelling`."""
    names: dict[str, list[str]] = defaultdict(list)
    for path in folder.iterdir():
        names[spelling(path.name)].append(path.name)
    return dict(names)
