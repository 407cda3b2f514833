"""Images with label maps of the same names: what COCO-Stuff, ADE20K and Pascal VOC have in common."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from idiff.data.sources.base import RawSample, Source, safe_keys
from idiff.data.sources.converting import CONVERTED, gray_levels, read_label, read_picture
from idiff.data.sources.pictures import SUFFIXES, notes_of_files, respell
from idiff.data.sources.places import read_lines
from idiff.errors import BadSampleError, DataError, suggest
from idiff.utils.picture_files import decode_label

if TYPE_CHECKING:
    from idiff.types import Labels

VOID = 255
_LABELS = (".png", *CONVERTED)

_LOOKED_AT = 64
"""Label maps that are looked at to tell masks of 0 and 255 from maps with void."""

_NAMED = 5
"""So many names of a folder are told in a message."""


class LabelMaps(Source):
    """One sample an image, with its label map.

    Label values become 0, 1, ... without gaps, in the order of the names (or of the fold file, `background` first); where
    that changes nothing, the label file passes through unchanged.

    Args:
        images: folder of the images.
        labels: folder of the label maps, `{stem}.png`.
        names: label value -> name, in order.
        named_in: the file that names them, for messages.
        void: label values without a class, besides 255.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        stems: the names of the set's images; None: those of all images and label maps.
        lists: the files that name classes and images.

    Raises:
        DataError: the fold file cannot be used.
    """

    tasks = ("segmentation",)

    def __init__(
        self,
        images: Path,
        labels: Path,
        names: Mapping[int, str],
        *,
        named_in: str,
        void: Iterable[int] = (),
        fold: str | None = None,
        stems: Sequence[str] | None = None,
        lists: Sequence[Path] = (),
    ) -> None:
        for folder, what, option in ((images, "images", "images"), (labels, "label maps (PNG)", "annotations")):
            if not folder.is_dir():
                raise DataError(f"{folder} is a file, expected a folder of {what}. Give --{option} DIR.")
        self.images, self.labels, self.named_in = images, labels, named_in
        self.lists = [*lists, *([Path(fold)] if fold else [])]
        groups = read_fold(Path(fold), names) if fold else {name: [value] for value, name in names.items()}
        self.classes = list(groups)
        self.table = np.full(256, VOID, np.uint8)
        for place, values in enumerate(groups.values()):
            self.table[values] = place
        single = [values[0] for values in groups.values() if len(values) == 1]
        self.values = single if len(single) == len(groups) and single != list(range(len(groups))) else None
        self.named = np.isin(np.arange(256), [*names, *void, VOID])
        self._files = image_files(images, labels=labels)
        self._maps = label_files(labels, stems or self._files)
        if stems is None:
            check_names(images, self._files, labels, self._maps)
            stems = sorted({*self._files, *self._maps})
        self._stems = list(stems)
        self._keys = safe_keys(self._stems)
        self._binary = set(names) == {0, 1} and not fold and self._holds_0_and_255()

    def meta(self) -> dict[str, Any]:
        """Class names by label value; and each class's value in the set's own label maps, where that is another one."""
        return {"classes": self.classes} | ({"values": self.values} if self.values else {})

    def __len__(self) -> int:
        return len(self._stems)

    def set_inputs(self) -> Sequence[Path | str]:
        """The lists, and whether 255 is a class."""
        return [*self.lists, *(["0 and 255"] if self._binary else [])]

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image and its label map."""
        return self._paths(self._stems[index])

    def _paths(self, stem: str) -> tuple[Path, Path]:
        return self.images / self._files.get(stem, f"{stem}.jpg"), self.labels / self._maps.get(stem, f"{stem}.png")

    def notes(self) -> list[str]:
        """How values of 255 are read where they are no void, and files that are converted or not read."""
        told = notes_of_files(
            [path for stem in self._stems for path in self._paths(stem)],
            dict.fromkeys([str(self.images), str(self.labels)]),
        )
        if self._binary:
            told.append(f"the label maps hold 0 and 255: 255 is read as '{self.classes[1]}', not as void")
        if any(gray_levels(data, label, self.named) is not None for data, label in self._first_maps()):
            told.append(
                "label maps have palettes of gray: their gray levels are read as the classes, not their indices"
            )
        return told

    def _first_maps(self) -> Iterator[tuple[bytes, Labels]]:
        """Some label maps that can be read, as files and decoded."""
        for stem in self._stems[:_LOOKED_AT]:
            with contextlib.suppress(BadSampleError):
                data = self._label(stem)
                yield data, decode_label(data, where=stem)

    def _holds_0_and_255(self) -> bool:
        """Whether the first label maps hold 255 and never 1: masks of an image editor, not maps with void."""
        values: set[int] = set()
        for _, label in self._first_maps():
            values |= set(np.unique(label).tolist())
        return VOID in values and values <= {0, VOID}

    def _label(self, stem: str) -> bytes:
        return read_label(self._paths(stem)[1], where=stem)

    def sample(self, index: int) -> RawSample:
        """Read one image and its label map."""
        stem = self._stems[index]
        picture = read_picture(self._paths(stem)[0], where=stem, field="source")
        data = self._label(stem)
        label = decode_label(data, where=stem)
        levels = gray_levels(data, label, self.named)
        if levels is not None:
            data, label = b"", levels
        if self._binary:
            if (label == 1).any():
                reason = (
                    "the first label maps hold 0 and 255, this one 1: 255 would be a class there and void here. Use one"
                )
                raise BadSampleError(stem, "label", reason)
            data, label = b"", np.where(label == VOID, np.uint8(1), label)
        values = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
        if not self.named[values].all():
            strange = values[~self.named[values]].tolist()
            raise BadSampleError(stem, "label", f"values {strange} have no name in {self.named_in}, and void is {VOID}")
        unchanged = (self.table[values] == values).all()
        return RawSample(
            key=self._keys[index],
            image=picture,
            annotation=self.facts(stem),
            label=data if unchanged and data else self.table[label],
        )

    def facts(self, stem: str) -> dict[str, Any]:
        """What else the annotation says of an image that is there."""
        return {"file_name": self._files[stem]}


def image_files(images: Path, *, labels: Path) -> dict[str, str]:
    """Stem -> file name of each image of a folder. Where the label maps lie in the same folder, `{stem}.png` is the label map.

    Raises:
        DataError: two images have one stem.
    """
    found = _by_stem(images, SUFFIXES)
    if images.resolve() == labels.resolve():
        found = {stem: [name for name in names if name != f"{stem}.png"] for stem, names in found.items()}
    found = {stem: _stored_first(names) for stem, names in found.items() if names}
    twice = next((names for names in found.values() if len(names) > 1), None)
    if twice:
        raise DataError(
            f"{images} has several images of one name: {', '.join(twice)}. Keep one, or give --images DIR with images alone."
        )
    return {stem: names[0] for stem, names in found.items()}


def label_files(labels: Path, stems: Iterable[str]) -> dict[str, str]:
    """Stem -> file name of each label map of a folder.

    A map goes by the stem of its image where they differ in the case of letters or in how accents are composed.
    """
    return respell({stem: _stored_first(names)[0] for stem, names in _by_stem(labels, _LABELS).items()}, stems)


def check_names(images: Path, files: Mapping[str, str], labels: Path, maps: Mapping[str, str]) -> None:
    """Refuse folders that share no name, so that this is one sentence and not a bad sample for each.

    Raises:
        DataError: names what is there instead.
    """
    for folder, there, what in ((images, files, "image"), (labels, maps, "label map (PNG)")):
        if not there:
            inside = sorted(path.name for path in folder.iterdir())[:_NAMED]
            holds = f"there are {', '.join(inside)}" if inside else "it is empty"
            raise DataError(f"{folder} has no {what}: {holds}. Check --root and --split, or give the folder by name.")
    if not files.keys() & maps.keys():
        raise DataError(
            f"no label map is called like its image: {next(iter(files.values()))} in {images}, "
            f"{next(iter(maps.values()))} in {labels}. Rename them so that both have one name up to the suffix."
        )


def _by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, list[str]]:
    """Stem -> names of the files with these suffixes; of its folders where the folder itself has none."""
    for paths in (folder.iterdir(), folder.rglob("*")):
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(paths):
            if path.suffix.lower() in suffixes:
                name = path.relative_to(folder)
                found[name.with_suffix("").as_posix()].append(name.as_posix())
        if found:
            return dict(found)
    return {}


def _stored_first(names: list[str]) -> list[str]:
    """The names that need no conversion, where there are such."""
    return [name for name in names if not name.lower().endswith(CONVERTED)] or names


def read_fold(file: Path, names: Mapping[int, str]) -> dict[str, list[int]]:
    """Read `name: label, label, ...` lines into class -> label values, `background` first, else in the file's order.

    Args:
        file: the fold file.
        names: label value -> name.

    Raises:
        DataError: missing, empty, a label that does not exist, or a class or label twice.
    """
    values = {name: value for value, name in names.items()}
    groups: dict[str, list[int]] = {}
    used: set[str] = set()
    for name, text in read_pairs(file, what="a line `name: label, label, ...` for each class"):
        labels = [part.strip() for part in text.split(",") if part.strip()]
        for label in labels:
            if label not in values:
                hint = suggest(label, values)
                raise DataError(f"{file}: class '{name}' names the label '{label}', which the set lacks{hint}")
        twice = [label for label in labels if label in used or labels.count(label) > 1]
        if name in groups or not labels or twice:
            what = f"the label '{twice[0]}' a second time" if twice else "no label, or comes a second time"
            raise DataError(f"{file}: class '{name}' has {what}. Give each class once, each label to one class.")
        groups[name] = [values[label] for label in labels]
        used.update(labels)
    return dict(sorted(groups.items(), key=lambda group: group[0] != "background"))


def read_pairs(file: Path, *, what: str) -> list[tuple[str, str]]:
    """The `left: right` lines of a text file, blank ones and comments (#) left out.

    Raises:
        DataError: missing, unreadable, empty, or a line of another form.
    """
    lines = [line.strip() for line in read_lines(file, what=what) if not line.strip().startswith("#")]
    wrong = next((line for line in lines if ":" not in line), None)
    if wrong is not None or not lines:
        raise DataError(f"{file}: {'empty' if wrong is None else repr(wrong)}, expected {what}.")
    return [(left.strip(), right.strip()) for left, _, right in (line.partition(":") for line in lines)]
