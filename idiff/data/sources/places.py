"""Where a data set's files lie: the usual places are tried in order, and a message names them where none is there."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.shards.annotation import parse_json
from idiff.data.sources.base import locate
from idiff.errors import DataError, missing
from idiff.utils.foreign import decoding, read_regular, read_text

_SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}

_LOOKED_FOR = 20


def split_words(split: str) -> tuple[str, ...]:
    """What data sets call a split: `train` is also `training`, `val` also `validation` and `valid`."""
    return _SPLITS.get(split, (split,))


def of_split(name: str, split: str) -> bool:
    """Whether a file's name speaks of a split, and not of one whose name only begins or ends so: `trainval` is not `train`."""
    return re.search(rf"(?<![A-Za-z]){re.escape(split)}(?![A-Za-z])", name) is not None


def find_file(root: Path, patterns: Sequence[str], *, split: str, what: str, remedy: str) -> Path:
    """Find the one file of a split.

    Args:
        root: folder of the set.
        patterns: places below `root`, the best first; `{split}` stands for the split's name, `*` for anything.
        split: as given; other words for it are tried, too.
        what: what the file holds, for messages.
        remedy: what to do where it is not there.

    Raises:
        DataError: none, or several in one place.
    """
    for pattern in patterns:
        for word in split_words(split):
            found = sorted(path for path in root.glob(pattern.format(split=glob.escape(word))) if path.is_file())
            if "{split}" in PurePosixPath(pattern).name:
                found = [path for path in found if of_split(path.name, word)]
            if len(found) > 1:
                names = ", ".join(path.name for path in found)
                raise DataError(
                    f"{found[0].parent} has several files for split '{split}': {names}. Choose one by --annotations FILE."
                )
            if found:
                return found[0]
    raise missing(root / patterns[0].format(split=split), what=_or(what, patterns[1:], split), remedy=remedy)


def find_folder(root: Path, patterns: Sequence[str], *, split: str, what: str, remedy: str) -> Path:
    """Find the folder of a split. See `find_file`.

    Raises:
        DataError: none of the places exists.
    """
    for pattern in patterns:
        for word in split_words(split):
            found = sorted(path for path in root.glob(pattern.format(split=glob.escape(word))) if path.is_dir())
            if found:
                return found[0]
    raise missing(root / patterns[0].format(split=split), what=_or(what, patterns[1:], split), remedy=remedy)


def given(path: str, *, what: str, remedy: str) -> Path:
    """A path that the user gave, which must exist.

    Raises:
        DataError: it does not.
    """
    if not Path(path).exists():
        raise missing(path, what=what, remedy=remedy)
    return Path(path)


def check_pictures(folder: Path, names: Iterable[str], *, listed: Path) -> None:
    """Look for a few of the images, so that a wrong folder is one sentence and not a bad sample for each.

    Args:
        folder: where they should be.
        names: of the set's images; the first 20 are looked for.
        listed: the file that names them, for messages.

    Raises:
        DataError: none of them is there.
    """
    some = list(itertools.islice(names, _LOOKED_FOR))
    if some and not any(locate(folder, name).is_file() for name in some):
        raise missing(
            folder / some[0],
            what=f"the images that {listed.name} names; the first {len(some)} are not there",
            remedy="Give --images DIR, the folder that these names begin in.",
        )


def read_json(file: Path, *, finite: bool = True) -> Any:
    """Parse a JSON file, strictly; where `finite` is false, with the NaN and infinities that Python writes.

    Raises:
        DataError: it cannot be read, or is not JSON.
    """
    with decoding(lambda reason: DataError(f"{file} cannot be read as JSON: {reason}.")):
        return parse_json(read_regular(file), finite=finite)


def read_lines(file: Path, *, what: str) -> list[str]:
    """The lines of a text file, blank ones left out.

    Raises:
        DataError: missing, unreadable, or empty.
    """
    if not file.is_file():
        raise missing(file, what=what, remedy="Check the path.")
    with decoding(lambda reason: DataError(f"{file} cannot be read as text: {reason}.")):
        lines = [line.rstrip() for line in read_text(file).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{file}: empty, expected {what}.")
    return lines


def _or(what: str, patterns: Sequence[str], split: str) -> str:
    places = ", ".join(pattern.format(split=split) for pattern in patterns)
    return f"{what}, there or in {places}" if places else what
