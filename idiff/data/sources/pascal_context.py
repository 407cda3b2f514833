"""Semantic segmentation of Pascal Context: the images of VOC2010, with 459 classes or the 59 most frequent ones.

Source: Mottaghi et al., CVPR 2014 (https://cs.stanford.edu/~roozbeh/pascal-context): `trainval.tar.gz`, `labels.txt`,
`59_labels.txt`. Never run on the original files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from idiff.data.sources.label_maps import read_pairs
from idiff.data.sources.mat_files import load_mat
from idiff.data.sources.paired_labels import Pair, PairedLabels
from idiff.data.sources.places import find_file, find_folder, given, read_lines
from idiff.errors import BadSampleError, DataError, missing, suggest
from idiff.types import WIDE_VOID

_ALL, _FREQUENT, _MAP = "labels.txt", "59_labels.txt", "LabelMap"
_SPLITS = ("pascalcontext_{split}.txt", "ImageSets/SegmentationContext/{split}.txt", "ImageSets/Main/{split}.txt")
_OTHER_SPELLINGS = {"diningtable": "table", "bedcloth": "bedclothes", "clothes": "cloth"}
"""What `59_labels.txt` calls classes of `labels.txt`, spaces left out."""


class Pc459(PairedLabels):
    """Pascal Context with all 459 classes: value v of `LabelMap` is the class of that number in `labels.txt`, 0 is void.

    The 459 classes need label maps of 16 bits. See `PairedLabels`.

    Args:
        root: the folder `VOC2010`, or `VOCdevkit`, or the one that lies in.
        split: `train`, `val`: the lists are `pascalcontext_{split}.txt`, else those of VOC2010, 4,998 and 5,105 images.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: the folder of `.mat` files, where it is not `trainval`.
        images: the folder of the images, where it is not `JPEGImages`.

    Raises:
        DataError: files are not where they should be, or a list cannot be used.
    """

    list_name = _ALL

    def __init__(
        self, root: str, split: str, fold: str | None = None, annotations: str | None = None, images: str | None = None
    ) -> None:
        kit = Path(root)
        folder = next((kit / one for one in ("VOC2010", "VOCdevkit/VOC2010") if (kit / one).is_dir()), kit)
        remedy = "Give --root the folder VOCdevkit/VOC2010, and check --split."
        listed = find_file(folder, _SPLITS, split=split, what="the list of the split", remedy=remedy)
        pictures, maps = (
            given(path, what=f"the folder {usual}", remedy=f"Check --{option}.")
            if path
            else find_folder(folder, (usual,), split=split, what="a folder of the set", remedy=f"Give --{option} DIR.")
            for option, path, usual in (("images", images, "JPEGImages"), ("annotations", annotations, "trainval"))
        )
        files = [self._list(name, folder, maps) for name in dict.fromkeys((_ALL, self.list_name))]
        stems = [line.split()[0] for line in read_lines(listed, what="an image's name in each line")]
        odd = next((stem for stem in stems if Path(stem).name != stem), None)
        if odd is not None or len(set(stems)) < len(stems):
            reason = f"the name {odd!r} leads elsewhere" if odd is not None else "a name comes twice"
            raise DataError(f"{listed}: {reason}, expected an image's name in each line, each once.")
        super().__init__(
            [Pair(stem, pictures / f"{stem}.jpg", maps / f"{stem}.mat") for stem in stems],
            self.names(files), named_in=_ALL, void=self.void(), fold=fold, lists=[*files, listed],
        )  # fmt: skip

    @staticmethod
    def _list(name: str, folder: Path, maps: Path) -> Path:
        """A list of classes, beside the `.mat` files, among them, or in the folder of the set."""
        found = next((place / name for place in (folder, maps, maps.parent) if (place / name).is_file()), None)
        if found is None:
            raise missing(folder / name, what="a list of the classes", remedy="Download it from the set's page.")
        return found

    def names(self, files: list[Path]) -> dict[int, str]:
        """Label value -> name, in the order of the classes."""
        return read_numbered(files[0])

    def void(self) -> list[int] | None:
        """Values without a class; None: all that have no name."""
        return [0]

    def read_values(self, pair: Pair) -> NDArray[np.integer]:
        """The variable `LabelMap` of the `.mat` file."""
        try:
            values = load_mat(pair.label).get(_MAP)
        except DataError as error:
            raise BadSampleError(pair.name, "label", str(error)) from error
        if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "iu":
            got = f"{values.dtype} {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
            raise BadSampleError(pair.name, "label", f"{_MAP} is {got}, expected whole numbers (height, width)")
        return values


class Pc59(Pc459):
    """Pascal Context with the 59 most frequent classes, in the order of `59_labels.txt`; all others are void. See `Pc459`."""

    list_name = _FREQUENT

    def names(self, files: list[Path]) -> dict[int, str]:
        """The 59 classes by their values in `labels.txt`."""
        values = {_plain(name): value for value, name in read_numbered(files[0]).items()}
        return frequent_names(files[1], values)

    def void(self) -> list[int] | None:
        """All values that have no name."""
        return None


def frequent_names(file: Path, values: Mapping[str, int]) -> dict[int, str]:
    """Read `59_labels.txt` into label value -> name; the two lists spell three names differently. A background is left out.

    Args:
        file: the list.
        values: name without spaces -> value in `labels.txt`.

    Raises:
        DataError: see `read_numbered`; or a name that `labels.txt` lacks.
    """
    names: dict[int, str] = {}
    for name in read_numbered(file).values():
        plain = _plain(name)
        if plain == "background":
            continue
        value = values.get(plain, values.get(_OTHER_SPELLINGS.get(plain, "")))
        if value is None or value in names:
            hint = suggest(plain, values) if value is None else "; it comes twice"
            raise DataError(f"{file} names the class '{name}', which {_ALL} lacks{hint}")
        names[value] = name
    if not names:
        raise DataError(f"{file} names no class besides the background, expected 59.")
    return names


def read_numbered(file: Path) -> dict[int, str]:
    """Read `number: name` lines into value -> name, in the order of values.

    Raises:
        DataError: missing, empty, or a line of another form; a number or name twice.
    """
    names: dict[int, str] = {}
    for place, (word, name) in enumerate(read_pairs(file, what="a line `number: name` for each class"), start=1):
        fits = word.isascii() and word.isdecimal() and len(word) < 6 and int(word) < WIDE_VOID
        if not fits or not name or int(word) in names or name in names.values():
            raise DataError(
                f"{file}: entry {place} is '{word[:20]}: {name[:60]}', expected a new number below {WIDE_VOID} and a new name."
            )
        names[int(word)] = name
    return dict(sorted(names.items()))


def _plain(name: str) -> str:
    return name.replace(" ", "").lower()
