"""Find the image files of a raw data set, name their samples, and bring a target to its source's size."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from PIL import Image

from idiff.data.shards.annotation import parse_json
from idiff.data.sources.base import MAX_BYTES, Stored, locate, spelling
from idiff.data.sources.converting import CONVERTED, foreign_format, read_picture, suffix_notes
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.foreign import decoding, open_regular, read_regular
from idiff.utils.picture_files import decode_picture, picture_size
from idiff.utils.seeds import hash64
from idiff.utils.strings import safe_name

if TYPE_CHECKING:
    from idiff.types import Picture

_STORED = (".jpg", ".jpeg", ".jfif", ".png", ".webp")
SUFFIXES = (*_STORED, *CONVERTED)
"""What counts as an image file, in any case of letters. Where files differ in their suffix alone, one that needs no conversion is
taken."""

T = TypeVar("T")

ASPECT = 0.01
"""Targets whose aspect ratio differs by no more than this share are resized to their source; others are refused."""

_HEADER = 1 << 18
_LONGEST_KEY = 64  # leaves room for what a source adds, such as the place of a tile


def list_pictures(folder: Path, *, deep: bool = True) -> dict[str, Path]:
    """Find image files: name without suffix, relative to the folder and with `/` -> path, sorted by name.

    Hidden files are left out, links are followed.

    Args:
        folder: where to look.
        deep: look into its folders, too.

    Raises:
        DataError: the folder cannot be read, or two files differ in their suffix alone.
    """
    found: dict[str, Path] = {}
    try:
        for path in sorted(_files(folder) if deep else folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file():
                name = path.relative_to(folder).with_suffix("").as_posix()
                if name in found and {path.suffix.lower(), found[name].suffix.lower()} & set(CONVERTED):
                    found[name] = min(path, found[name], key=lambda file: file.suffix.lower() in CONVERTED)
                    continue
                if name in found:
                    raise DataError(f"{folder}: {found[name].name} and {path.name} have one name. Remove one of them.")
                found[name] = path
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}. Check its permissions.") from error
    return found


def respell(found: Mapping[str, T], wanted: Iterable[str]) -> dict[str, T]:
    """Names as their partners are written, where they differ in the case of letters or in how accents are composed.

    Args:
        found: name -> anything.
        wanted: names of the partners. A name that is among them stays, and so does one that could be several of them.
    """
    names = set(wanted)
    lonely: dict[str, list[str]] = defaultdict(list)
    for name in names - found.keys():
        lonely[spelling(name)].append(name)
    count = Counter(spelling(name) for name in found.keys() - names)
    return {
        partners[0]
        if name not in names and len(partners := lonely[spelling(name)]) == 1 and count[spelling(name)] == 1
        else name: value
        for name, value in found.items()
    }


def notes_of_files(files: Iterable[Path], folders: Iterable[str]) -> list[str]:
    """Which files are converted, and which of their folders are not read. See `suffix_notes`."""
    others = (path for folder in folders if Path(folder).is_dir() for path in _files(Path(folder)))
    return suffix_notes(files, others)


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder; folders that are links are entered, each folder once."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(place) / name for name in files)


def _refuse(error: OSError) -> None:
    raise error


def first_folder(candidates: Sequence[Path], *, what: str) -> Path:
    """The first of some folders that exists.

    Raises:
        DataError: none does; names the places, and what is there instead.
    """
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise missing(candidates[0], what=what, remedy=_instead(candidates))


def _instead(candidates: Sequence[Path]) -> str:
    """What to do about folders that are not there: where else was looked, and what the nearest parent holds."""
    parent = candidates[0].parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    others = f" Also looked for {', '.join(str(path) for path in candidates[1:])}." if len(candidates) > 1 else ""
    inside = sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))[:8]
    holds = f"{parent} has the folders {', '.join(inside)}" if inside else f"{parent} has no folders"
    return f"{holds}.{others} Check --root and --split."


def load_json(path: Path, *, what: str, remedy: str = "Check --root, or give --annotations FILE.") -> Any:
    """Read a JSON file of a raw data set, with the NaN and infinities that Python writes.

    Raises:
        DataError: it is missing, cannot be read, or is not JSON.
    """
    if not path.is_file():
        raise missing(path, what=what, remedy=remedy)
    with decoding(lambda reason: DataError(f"{path} cannot be read as JSON: {reason}. Expected {what}.")):
        return parse_json(read_regular(path), finite=False)


def inside(folder: Path, name: Any, *, where: str, field: str) -> Path:
    """The file that an annotation names, which must lie in its folder.

    Raises:
        BadSampleError: the name is not a string, empty, absolute, or leads out of the folder.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadSampleError(where, field, f"got {name!r}, expected the name of an image file")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise BadSampleError(where, field, f"the file name {name!r} leads out of the folder of images")
    return locate(folder, name)


def make_keys(names: Iterable[str]) -> list[str]:
    """A key for each name, such as `000-00000012` for `000/00000012`; unique wherever the names are.

    Names with other characters than letters, digits, `_` and `-`, long ones, and those that would share a key get a hash.
    """
    listed = list(names)
    plain = [name.replace("/", "-") for name in listed]
    count = Counter(plain)
    return [
        key if count[key] == 1 and safe_name(key, max_length=_LONGEST_KEY) == key
        else f"{safe_name(key, max_length=_LONGEST_KEY)[:47]}-{hash64(name.encode('utf-8', 'surrogatepass').hex()):016x}"
        for name, key in zip(listed, plain, strict=True)
    ]  # fmt: skip


def keys_of_files(names: Iterable[str]) -> list[str]:
    """`make_keys` of file names without their suffixes; with them where files differ in the suffix alone."""
    listed = list(names)
    stems = [name.rpartition(".")[0] or name for name in listed]
    count = Counter(stems)
    return make_keys(stem if count[stem] == 1 else name for stem, name in zip(stems, listed, strict=True))


def header_size(path: Path | Stored) -> tuple[int, int] | None:
    """The upright (height, width) of an image file, from its beginning where that will do; None where it has none.

    None, too, of an image inside of a file.
    """
    if isinstance(path, Stored):
        return None
    try:
        with open_regular(path) as stream:
            data = stream.read(_HEADER)
            try:
                return picture_size(data, where=path.name)
            except BadSampleError:
                if foreign_format(data):
                    data = read_picture(path, where=path.name, field="source")
                return picture_size(data + stream.read(MAX_BYTES), where=path.name)
    except (OSError, BadSampleError):
        return None


def fitted_target(
    source: tuple[int, int], target: bytes, *, where: str, field: str = "target"
) -> tuple[bytes | Picture, dict[str, Any]]:
    """A target at the size of its source.

    Args:
        source: upright (height, width).
        target: an image file.
        where: names the sample in errors.
        field: names the member in errors.

    Returns:
        The bytes as they are where the sizes agree, else the resized image; and facts for the annotation: nothing, or
        `target_resized_from`: [height, width], which `idiff data build` and `idiff data stats` count.

    Raises:
        BadSampleError: no image, or its aspect ratio differs by more than `ASPECT`.
    """
    size = picture_size(target, where=where, field=field)
    if size == source:
        return target, {}
    change = (size[0] * source[1]) / (size[1] * source[0])
    if abs(change - 1) > ASPECT:
        raise BadSampleError(
            where, field,
            f"{size[1]}x{size[0]} pixels, expected {source[1]}x{source[0]} as the source, or the same aspect within 1 %",
        )  # fmt: skip
    import numpy as np

    picture = Image.fromarray(decode_picture(target, where=where, field=field))
    resized = picture.resize((source[1], source[0]), Image.Resampling.LANCZOS)
    return np.array(resized, dtype=np.uint8), {"target_resized_from": list(size)}
