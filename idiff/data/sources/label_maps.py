"""Images with label maps of the same names: what COCO-Stuff, ADE20K and Pascal VOC have in common."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from idiff.data.sources.base import RawSample, Source, read_file, safe_keys
from idiff.data.sources.places import read_lines
from idiff.errors import BadSampleError, DataError, suggest
from idiff.utils.picture_files import decode_label

VOID = 255
_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}

_LOOKED_AT = 64
"""Label maps that are looked at to tell masks of 0 and 255 from maps with void."""


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
    ) -> None:
        self.images, self.labels, self.named_in = images, labels, named_in
        groups = read_fold(Path(fold), names) if fold else {name: [value] for value, name in names.items()}
        self.classes = list(groups)
        self.table = np.full(256, VOID, np.uint8)
        for place, values in enumerate(groups.values()):
            self.table[values] = place
        single = [values[0] for values in groups.values() if len(values) == 1]
        self.values = single if len(single) == len(groups) and single != list(range(len(groups))) else None
        self.named = np.isin(np.arange(256), [*names, *void, VOID])
        self._files = image_files(images, labels=labels)
        if stems is None:
            mapped = {path.stem for path in labels.iterdir() if path.suffix.lower() == ".png"}
            stems = sorted({*self._files, *mapped})
        self._stems = list(stems)
        self._keys = safe_keys(self._stems)
        self._binary = set(names) == {0, 1} and not fold and self._holds_0_and_255()

    def meta(self) -> dict[str, Any]:
        """Class names by label value; and each class's value in the set's own label maps, where that is another one."""
        return {"classes": self.classes} | ({"values": self.values} if self.values else {})

    def __len__(self) -> int:
        return len(self._stems)

    def notes(self) -> list[str]:
        """How values of 255 are read where they are no void."""
        return (
            [f"the label maps hold 0 and 255: 255 is read as '{self.classes[1]}', not as void"] if self._binary else []
        )

    def _holds_0_and_255(self) -> bool:
        """Whether the first label maps hold 255 and never 1: masks of an image editor, not maps with void."""
        values: set[int] = set()
        for stem in self._stems[:_LOOKED_AT]:
            with contextlib.suppress(BadSampleError):
                label = decode_label(read_file(self.labels / f"{stem}.png", where=stem, field="label"), where=stem)
                values |= set(np.unique(label).tolist())
        return VOID in values and values <= {0, VOID}

    def sample(self, index: int) -> RawSample:
        """Read one image and its label map."""
        stem = self._stems[index]
        picture = read_file(self.images / self._files.get(stem, f"{stem}.jpg"), where=stem, field="source")
        data = read_file(self.labels / f"{stem}.png", where=stem, field="label")
        label = decode_label(data, where=stem)
        if self._binary:
            data, label = b"", (label == VOID).astype(np.uint8)
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
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(images.iterdir()):
        if path.suffix.lower() in _PICTURES:
            found[path.stem].append(path.name)
    if images.resolve() == labels.resolve():
        found = defaultdict(
            list, {stem: [name for name in names if name != f"{stem}.png"] for stem, names in found.items()}
        )
    twice = next((names for names in found.values() if len(names) > 1), None)
    if twice:
        raise DataError(
            f"{images} has several images of one name: {', '.join(twice)}. Keep one, or give --images DIR with images alone."
        )
    return {stem: names[0] for stem, names in found.items() if names}


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
