"""Semantic segmentation of the full ADE20K with 847 classes, as MaskFormer's preparation defines them.

Sources: Zhou et al., IJCV 2019, `ADE20K_2021_17_01` (https://ade20k.csail.mit.edu); the list of classes and the prepared folders:
Cheng et al., NeurIPS 2021, `datasets/prepare_ade20k_full_sem_seg.py` of MaskFormer. Never run on the original files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from idiff.data.sources.ade20k import first_names
from idiff.data.sources.base import read_file
from idiff.data.sources.entries import EntryError, object_of, text_of, whole_of
from idiff.data.sources.paired_labels import Pair, PairedLabels
from idiff.data.sources.pictures import list_pictures
from idiff.data.sources.places import find_folder, given
from idiff.errors import BadSampleError, DataError, missing
from idiff.types import WIDE_VOID
from idiff.utils.foreign import decoding, read_text
from idiff.utils.picture_files import MAX_PIXELS, decode_picture

_MAIN, CLASSES = "ADE20K_2021_17_01", 847
_LISTS = ("prepare_ade20k_full_sem_seg.py", "classes.json")
_PREPARED, _RAW = ("images_detectron2/{split}", "annotations_detectron2/{split}"), "images/ADE/{split}"


class Ade847(PairedLabels):
    """The full ADE20K, as its authors publish it, or as MaskFormer prepares it; everything that is none of the classes is void.

    Published: `images/ADE/{training,validation}/.../NAME.jpg` and `NAME_seg.png`, in which the class is R // 10 * 256 + G;
    images keep their size. Prepared: `images_detectron2` (shorter side 512 at most) and `annotations_detectron2`, label maps
    of 16 bits; these are taken where they are there, and are what papers score. The list of classes is not part of this
    package: it is read from MaskFormer's script, which is not run. See `PairedLabels`.

    Args:
        root: the folder `ADE20K_2021_17_01`, or the one it lies in.
        split: `train` (or `training`), `val` (or `validation`).
        classes: MaskFormer's `prepare_ade20k_full_sem_seg.py`, or a JSON file with its list of `name`, `id` and `trainId`; left
            out: the script, or `classes.json`, in the folder of the set.
        fold: a file that maps labels to fewer classes; labels that it does not name become void.
        annotations: folder of the prepared label maps, where it is not found under `root`.
        images: folder of the prepared images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, or the list of classes cannot be used.
    """

    def __init__(
        self,
        root: str,
        split: str,
        classes: Path | None = None,
        fold: str | None = None,
        annotations: str | None = None,
        images: str | None = None,
    ) -> None:
        folder = Path(root) / _MAIN if (Path(root) / _MAIN).is_dir() else Path(root)
        listed = classes or next((folder / name for name in _LISTS if (folder / name).is_file()), folder / _LISTS[0])
        if not listed.is_file():
            raise missing(
                listed,
                what="the list of the 847 classes",
                remedy="Download this script of MaskFormer, or give --classes FILE.",
            )
        self.prepared = bool(annotations or images) or (folder / "annotations_detectron2").is_dir()
        pairs = _prepared(folder, split, annotations, images) if self.prepared else _published(folder, split)
        names = read_list(listed, prepared=self.prepared)
        void = () if self.prepared else None
        super().__init__(pairs, names, named_in=listed.name, void=void, fold=fold, lists=[listed])
        self._listed = len(names)

    def notes(self) -> list[str]:
        """Which of the two forms was read, and a list of another length."""
        form = (
            "the prepared label maps"
            if self.prepared
            else "the published files, at their own size: papers score images of 512"
        )
        told = [] if self._listed == CLASSES else [f"the list has {self._listed:,} classes, ADE20K-847 has {CLASSES}"]
        return [f"read from {form}", *told, *super().notes()]

    def read_values(self, pair: Pair) -> NDArray[np.integer]:
        """Class numbers of a published `_seg.png`, or values of a prepared map of 16 bits."""
        data = read_file(pair.label, where=pair.name, field="label")
        if self.prepared:
            return _gray_values(data, where=pair.name)
        colors = decode_picture(data, where=pair.name, field="label").astype(np.int32)
        return colors[..., 0] // 10 * 256 + colors[..., 1]


def _prepared(folder: Path, split: str, annotations: str | None, images: str | None) -> list[Pair]:
    """The images that MaskFormer's script writes, with their label maps."""
    remedy = "Check --root and --split."
    pictures, maps = (
        given(path, what=what, remedy=f"Check --{option}.")
        if path
        else find_folder(folder, (place,), split=split, what=what, remedy=f"{remedy} Or give --{option} DIR.")
        for option, path, place, what in (
            ("images", images, _PREPARED[0], "the prepared images"),
            ("annotations", annotations, _PREPARED[1], "the prepared label maps"),
        )
    )
    found, labels = list_pictures(pictures), list_pictures(maps)
    if not set(found) & set(labels):
        raise DataError(
            f"no pair: {len(found):,} images under {pictures}, {len(labels):,} label maps under {maps}, and none share a name."
        )
    return [
        Pair(name, found.get(name, pictures / f"{name}.jpg"), labels.get(name, maps / f"{name}.tif"))
        for name in sorted({*found, *labels})
    ]


def _published(folder: Path, split: str) -> list[Pair]:
    """The images of the published set; the masks of objects and of their parts lie beside them."""
    place = find_folder(
        folder, (_RAW,), split=split, what="the published images, or annotations_detectron2/ of MaskFormer's preparation",
        remedy=f"Give --root the folder {_MAIN}, and check --split.",
    )  # fmt: skip
    found = sorted(path for path in place.rglob("*.jpg") if path.is_file())
    if not found:
        raise DataError(f"{place} has no image: expected .../NAME.jpg and NAME_seg.png. Check --root and --split.")
    return [Pair(path.stem, path, path.with_name(f"{path.stem}_seg.png")) for path in found]


def _gray_values(data: bytes, *, where: str) -> NDArray[np.uint16]:
    """The values of a TIFF or PNG file of 16 bits.

    Raises:
        BadSampleError: it is damaged, too large, or of another kind.
    """
    with (
        decoding(lambda _: BadSampleError(where, "label", "cannot be decoded: expected a TIFF or PNG of 16 bits")),
        Image.open(io.BytesIO(data), formats=("TIFF", "PNG")) as image,
    ):
        if image.width * image.height > MAX_PIXELS:
            raise BadSampleError(where, "label", f"{image.width}x{image.height} pixels, expected {MAX_PIXELS:,} in all")
        if not image.mode.startswith("I;16"):
            raise BadSampleError(where, "label", f"an image of mode {image.mode}, expected one channel of 16 bits")
        return np.asarray(image).astype(np.uint16)


def read_list(file: Path, *, prepared: bool) -> dict[int, str]:
    """Read the list of classes into label value -> name, in the order of `trainId`.

    Args:
        file: JSON, or a Python file that holds the list `[{"name": ..., "id": ..., "trainId": ...}, ...]`; nothing in it is run.
        prepared: the values are those of prepared maps, `trainId`, and not those of the published masks, `id`.

    Raises:
        DataError: it cannot be read, holds no such list, or a number or name twice.
    """
    with decoding(lambda reason: DataError(f"{file} holds no list of classes that can be read: {reason}.")):
        text = read_text(file)
        start = text.find("[{")
        if start < 0:
            raise ValueError('expected [{"name": ..., "id": ..., "trainId": ...}, ...]')
        listed, _ = json.JSONDecoder().raw_decode(text, start)
    try:
        rows = [_row(f"{file.name}: class {place}", one) for place, one in enumerate(listed)]
    except EntryError as error:
        raise DataError(f"{file}: {error}. Take the list as MaskFormer has it.") from error
    rows.sort(key=lambda row: row["trainId"])
    twice = next((key for key in ("id", "trainId", "name") if len({row[key] for row in rows}) < len(rows)), None)
    if twice or [row["trainId"] for row in rows] != list(range(len(rows))):
        what = f"two classes have one '{twice}'" if twice else "'trainId' does not count 0, 1, 2, ..."
        raise DataError(f"{file}: {what}. Take the list as MaskFormer has it.")
    names = first_names({row["trainId" if prepared else "id"]: row["name"] for row in rows})
    if len(set(names.values())) < len(names) or not all(names.values()):
        raise DataError(f"{file}: expected classes with names of their own. Take the list as MaskFormer has it.")
    return names


def _row(where: str, entry: Any) -> dict[str, Any]:
    """One class: its name and its two numbers."""
    entry = object_of(entry, where=where)
    number = partial(_number, entry, where)
    return {"name": text_of(entry, "name", where=where), "id": number("id"), "trainId": number("trainId")}


def _number(entry: Mapping[str, Any], where: str, field: str) -> int:
    value = whole_of(entry.get(field), where=where, field=field)
    if not 0 <= value < WIDE_VOID:
        raise EntryError("of a wrong form", f"{where}: '{field}' is {value}, expected 0 to {WIDE_VOID - 1}")
    return value
