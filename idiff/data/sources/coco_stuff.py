"""Semantic segmentation in COCO-Stuff's format: pictures, label maps of the same name, and a list of label names.

Source: COCO-Stuff (https://github.com/nightrome/cocostuff), `labels.txt` and the pixel-map annotations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from idiff.data.sources.base import RawSample, Source, read_file, safe_key
from idiff.errors import BadSampleError, DataError, missing, suggest
from idiff.utils.picture_files import decode_label

VOID = 255
_PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


class CocoStuff(Source):
    """One sample a picture, with its label map.

    Label values become 0, 1, ... without gaps, in the order of `labels.txt` (or of the fold file, `background` first);
    where that changes nothing, the label file passes through unchanged.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        fold: a file that maps labels to fewer classes; labels that it does not name become void.

    Raises:
        DataError: files are not where they should be, or a list of names cannot be used.
    """

    tasks = ("segmentation",)

    def __init__(self, root: str, split: str, fold: str | None = None) -> None:
        self.images, self.annotations = Path(root) / "images" / split, Path(root) / "annotations" / split
        names = read_labels(Path(root) / "labels.txt")
        for folder, what in ((self.images, "the pictures"), (self.annotations, "the label maps")):
            if not folder.is_dir():
                raise missing(folder, what=f"a folder of {what}", remedy="Check --root and --split.")
        groups = read_fold(Path(fold), names) if fold else {name: [value] for value, name in names.items()}
        self.classes = list(groups)
        self.table = np.full(256, VOID, np.uint8)
        for place, values in enumerate(groups.values()):
            self.table[values] = place
        self.named = np.isin(np.arange(256), [*names, VOID])
        self._files = {
            path.stem: path.name for path in sorted(self.images.iterdir()) if path.suffix.lower() in _PICTURES
        }
        labels = {path.stem for path in self.annotations.iterdir() if path.suffix.lower() == ".png"}
        self._stems = sorted({*self._files, *labels})

    def meta(self) -> dict[str, Any]:
        """Class names by label value."""
        return {"classes": self.classes}

    def __len__(self) -> int:
        return len(self._stems)

    def sample(self, index: int) -> RawSample:
        """Read one picture and its label map."""
        stem = self._stems[index]
        picture = read_file(self.images / self._files.get(stem, f"{stem}.jpg"), where=stem, field="source")
        data = read_file(self.annotations / f"{stem}.png", where=stem, field="label")
        label = decode_label(data, where=stem)
        values = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
        if not self.named[values].all():
            strange = values[~self.named[values]].tolist()
            raise BadSampleError(stem, "label", f"values {strange} have no name in labels.txt, and void is {VOID}")
        unchanged = (self.table[values] == values).all()
        return RawSample(
            key=safe_key(stem), image=picture, annotation={"file_name": self._files[stem]},
            label=data if unchanged else self.table[label],
        )  # fmt: skip


def read_labels(file: Path) -> dict[int, str]:
    """Read `id: name` lines into label-map value -> name, in the order of values.

    Where the file begins with `0: unlabeled`, as the official one does, a label map holds id - 1 (and 255 for
    unlabelled); else it holds the id.

    Raises:
        DataError: missing, empty, or a line of another form; an id or name twice.
    """
    ids: dict[int, str] = {}
    for place, (word, name) in enumerate(_pairs(file, what="a line `id: name` for each class"), start=1):
        if not word.isdecimal() or not name or int(word) in ids or name in ids.values():
            raise DataError(f"{file}: entry {place} is '{word}: {name}', expected a new whole number and a new name.")
        ids[int(word)] = name
    shift = 1 if ids.get(0) == "unlabeled" else 0
    if shift:
        del ids[0]
    values = {number - shift: ids[number] for number in sorted(ids)}
    if not values or max(values) >= VOID:
        raise DataError(
            f"{file}: ids reach {max(ids, default=0)}, expected at least one, and none above {VOID - 1 + shift}."
        )
    return values


def read_fold(file: Path, names: dict[int, str]) -> dict[str, list[int]]:
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
    for name, text in _pairs(file, what="a line `name: label, label, ...` for each class"):
        labels = [part.strip() for part in text.split(",") if part.strip()]
        for label in labels:
            if label not in values:
                hint = suggest(label, values)
                raise DataError(f"{file}: class '{name}' names the label '{label}', which labels.txt lacks{hint}")
        twice = [label for label in labels if label in used or labels.count(label) > 1]
        if name in groups or not labels or twice:
            what = f"the label '{twice[0]}' a second time" if twice else "no label, or comes a second time"
            raise DataError(f"{file}: class '{name}' has {what}. Give each class once, each label to one class.")
        groups[name] = [values[label] for label in labels]
        used.update(labels)
    return dict(sorted(groups.items(), key=lambda group: group[0] != "background"))


def _pairs(file: Path, *, what: str) -> list[tuple[str, str]]:
    """The `left: right` lines of a text file, blank ones and comments (#) left out."""
    if not file.is_file():
        raise missing(file, what=what, remedy="Check the path.")
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as text: {error}.") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    wrong = next((line for line in lines if ":" not in line), None)
    if wrong is not None or not lines:
        raise DataError(f"{file}: {'empty' if wrong is None else repr(wrong)}, expected {what}.")
    return [(left.strip(), right.strip()) for left, _, right in (line.partition(":") for line in lines)]
