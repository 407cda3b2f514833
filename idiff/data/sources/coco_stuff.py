"""Semantic segmentation in COCO-Stuff's format: images, label maps of the same name, and a list of label names.

Source: COCO-Stuff (https://github.com/nightrome/cocostuff), `labels.txt` and the pixel-map annotations.
"""

from __future__ import annotations

from pathlib import Path

from idiff.data.sources.label_maps import VOID, LabelMaps, read_pairs
from idiff.data.sources.places import find_folder, given
from idiff.errors import DataError

_IMAGES = ("images/{split}", "{split}", "images/{split}2017", "{split}2017")
_LABELS = (
    "annotations/{split}", "annotations/{split}2017", "stuffthingmaps_trainval2017/{split}2017",
    "stuffthingmaps_trainval2017/{split}", "stuffthingmaps/{split}2017", "stuffthingmaps/{split}",
)  # fmt: skip
_UNUSED = {
    12: "street sign", 26: "hat", 29: "shoe", 30: "eye glasses", 45: "plate", 66: "mirror", 68: "window", 69: "desk",
    71: "door", 83: "blender", 91: "hair brush",
}  # fmt: skip
"""Ids that the official list names and no image was ever labelled with: 182 names, 171 classes."""


UNLABELED = "unlabeled"
VOID_NAMES = (UNLABELED, "unlabelled", "void", "ignore", "ignored")
"""What lists call pixels without a class, in any case of letters."""


class CocoStuff(LabelMaps):
    """COCO-Stuff, and any set of its form. See `LabelMaps`.

    Args:
        root: folder of the set; `labels.txt` lies there or beside the label maps.
        split: `train`, `val`, `train2017`, ...
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: folder of the split's label maps, where it is not found under `root`.
        images: folder of the split's images, where it is not found under `root`.
        label_offset: what is added to a label map's value to get its id in `labels.txt`; left out: 1 for COCO-Stuff's official
            list, whose maps hold id - 1, and 0 for every other list.

    Raises:
        DataError: files are not where they should be, or a list of names cannot be used.
    """

    def __init__(
        self,
        root: str,
        split: str,
        fold: str | None = None,
        annotations: str | None = None,
        images: str | None = None,
        label_offset: int | None = None,
    ) -> None:
        folder, remedy = Path(root), "Check --root and --split."
        pictures = (
            given(images, what="a folder of the images", remedy="Check --images.")
            if images
            else find_folder(
                folder, _IMAGES, split=split, what="a folder of the images", remedy=f"{remedy} Or give --images DIR."
            )
        )
        maps = (
            given(annotations, what="a folder of the label maps", remedy="Check --annotations.")
            if annotations
            else find_folder(
                folder, _LABELS, split=split, what="a folder of the label maps",
                remedy=f"{remedy} Or give --annotations DIR.",
            )
        )  # fmt: skip
        lists = [place / "labels.txt" for place in (folder, maps, maps.parent)]
        labels = next((file for file in lists if file.is_file()), lists[0])
        names = read_labels(labels, offset=label_offset)
        unused = unused_labels(names) | {value for value, name in names.items() if name.lower() in VOID_NAMES}
        names = {value: name for value, name in names.items() if value not in unused}
        super().__init__(pictures, maps, names, named_in="labels.txt", void=unused, fold=fold, lists=[labels])


def unused_labels(names: dict[int, str]) -> set[int]:
    """The label values of the official list that are never used; none where the list is another one."""
    for shift in (0, 1):
        if all(names.get(number - shift) == name for number, name in _UNUSED.items()):
            return {number - shift for number in _UNUSED}
    return set()


def read_labels(file: Path, *, offset: int | None = None) -> dict[int, str]:
    """Read `id: name` lines into label-map value -> name, in the order of values.

    With COCO-Stuff's official list, which begins with `0: unlabeled`, a label map holds id - 1 (and 255 for unlabelled); with any
    other list it holds the id, and what is called as in `VOID_NAMES` is void.

    Args:
        file: the list.
        offset: id minus value, where the lists do not tell; None: as above.

    Raises:
        DataError: missing, empty, or a line of another form; an id or name twice.
    """
    ids: dict[int, str] = {}
    for place, (word, name) in enumerate(read_pairs(file, what="a line `id: name` for each class"), start=1):
        if not word.isdecimal() or not name or int(word) in ids or name in ids.values():
            raise DataError(f"{file}: entry {place} is '{word}: {name}', expected a new whole number and a new name.")
        ids[int(word)] = name
    official = ids.get(0) == UNLABELED and all(ids.get(number) == name for number, name in _UNUSED.items())
    shift = int(official) if offset is None else offset
    if official:
        del ids[0]
    if shift == 0 and ids.get(VOID, "").lower() in VOID_NAMES:
        del ids[VOID]
    values = {number - shift: ids[number] for number in sorted(ids)}
    if not values or min(values) < 0 or max(values) >= VOID:
        raise DataError(
            f"{file}: ids reach {max(ids, default=0)}, expected at least one, and none above {VOID - 1 + shift}."
        )
    return values
