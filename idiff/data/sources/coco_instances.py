"""Objects with masks in COCO's format, with any categories.

Source: COCO data format, "object detection" (https://cocodataset.org/#format-data). Never run on the original files.
"""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from idiff.data.sources.base import RawSample, Source, locate
from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.data.sources.converting import read_picture
from idiff.data.sources.entries import (
    EntryError,
    first_faults,
    list_of,
    number,
    object_of,
    read_each,
    text_of,
    whole_of,
    wrong,
)
from idiff.data.sources.numbered_objects import IDS, instance_ids
from idiff.data.sources.outlines import mask_of
from idiff.data.sources.pictures import notes_of_files
from idiff.data.sources.places import check_pictures, find_file, find_folder, given, read_json
from idiff.errors import BadSampleError, DataError
from idiff.types import label_type
from idiff.utils.foreign import decoding
from idiff.utils.masks import decode_mask
from idiff.utils.picture_files import picture_size

_PLACES = ("annotations/instances_{split}.json", "annotations/instances_{split}*.json", "instances_{split}.json")


class CocoInstances(Source):
    """One sample an image, with or without objects.

    `instances`: `category`, `category_id`, `id`, `mask`, `box`, `area`, the largest first, so that small ones lie in front; the map
    `instance_ids`: 1 + the place in that list, 0 for none; the label map: 0 is background, 1 + the place in `categories` an
    object. Crowds (`iscrowd`) are no instances: they are void in the label map, and `crowds` of the annotation.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        annotations: the JSON file, where it is not found under `root`.
        images: the folder of the images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, or the JSON is not in this format.
    """

    tasks = ("instances", "detection", "segmentation")

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        folder = Path(root)
        self.file = (
            given(annotations, what="COCO object annotations", remedy="Check --annotations.")
            if annotations
            else find_file(
                folder, _PLACES, split=split, what="COCO object annotations",
                remedy="Check --root and --split, or give --annotations FILE.",
            )
        )  # fmt: skip
        year = glob.escape(self.file.stem.rpartition("_")[2])
        usual = CocoKeypoints.image_places
        places = [one.replace("{year}", year) for one in usual if "{" not in year or "{year}" not in one]
        self.folder = (
            given(images, what="the folder of images", remedy="Check --images.")
            if images
            else find_folder(folder, places, split=split, what="the images", remedy="Give --images DIR.")
        )
        self.faults: list[str] = []
        with decoding(lambda reason: DataError(f"{self.file} is no COCO file of objects: {reason}.")):
            self._read(read_json(self.file, finite=False))
        check_pictures(self.folder, (one["file_name"] for one in self._pictures), listed=self.file)

    def _read(self, value: Any) -> None:
        """Fill in images, categories and objects.

        Raises:
            KeyError, TypeError, ValueError: a list is missing, or the categories or image ids cannot be used.
        """
        if not isinstance(value, dict) or not all(
            isinstance(value[key], list) for key in ("images", "categories", "annotations")
        ):
            raise TypeError("expected an object with the lists images, categories and annotations")
        read = partial(read_each, faults=self.faults)
        categories = read(value["categories"], _category, name="categories")
        self.names = dict(categories)
        if not categories or len(self.names) < len(categories) or len(set(self.names.values())) < len(categories):
            raise ValueError("expected categories, each with an id and a name of its own")
        self._pictures = sorted(read(value["images"], _picture, name="images"), key=lambda one: int(one["id"]))
        twice = [key for key, count in Counter(one["id"] for one in self._pictures).items() if count > 1]
        if twice:
            raise ValueError(f"two images have the id {twice[0]}")
        known = {one["id"] for one in self._pictures}
        self._objects: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for entry in read(value["annotations"], partial(_object, self.names, known), name="annotations"):
            self._objects[entry.pop("image_id")].append(entry)
        self._objects = dict(self._objects)
        if not self._objects:
            raise ValueError(f"no object can be used: {first_faults(self.faults) or 'annotations is empty'}")

    def meta(self) -> dict[str, Any]:
        """`categories`, their own `category_ids`, and the `classes` of the label maps."""
        names = list(self.names.values())
        return {"classes": ["background", *names], "categories": names, "category_ids": list(self.names)}

    def __len__(self) -> int:
        return len(self._pictures)

    def funnel(self) -> dict[str, int]:
        """All images."""
        return {f"found in {self.file.name}": len(self)}

    def notes(self) -> list[str]:
        """Images without objects, crowds, entries that were left out, and files that are converted or not read."""
        crowds = sum(one["crowd"] for objects in self._objects.values() for one in objects)
        empty = len(self) - len(self._objects)
        told = [f"images without an object: {empty:,}"] if empty else []
        told += [f"crowds, which are void and no instances: {crowds:,}"] if crowds else []
        if self.faults:
            told.append(f"{len(self.faults):,} entries left out, because of a wrong form: {first_faults(self.faults)}")
        return told + notes_of_files((Path(one["file_name"]) for one in self._pictures), [str(self.folder)])

    def set_inputs(self) -> Sequence[Path | str]:
        """The file of annotations."""
        return [self.file]

    def sample_inputs(self, index: int) -> Sequence[Path]:
        """The image's file."""
        return [locate(self.folder, self._pictures[index]["file_name"])]

    def sample(self, index: int) -> RawSample:
        """Read one image, and draw its objects."""
        picture = self._pictures[index]
        name, identity = picture["file_name"], picture["id"]
        data = read_picture(locate(self.folder, name), where=name, field="source")
        height, width = size = picture_size(data, where=name)
        stated = (number(picture.get("width")) or width, number(picture.get("height")) or height)
        if stated != (width, height):
            reason = f"{width}x{height} pixels, expected {stated[0]:.0f}x{stated[1]:.0f} as in {self.file.name}"
            raise BadSampleError(name, "source", reason)
        drawn = [self._drawn(entry, size, where=name) for entry in self._objects.get(identity, ())]
        drawn.sort(key=lambda one: -one[1]["area"])
        instances, crowds = ([one for crowd, one in drawn if crowd is wanted] for wanted in (False, True))
        places = {category: 1 + place for place, category in enumerate(self.names)}
        label = np.zeros(size, kind := label_type(1 + len(places)))
        for one in crowds:
            label[decode_mask(one["mask"])] = np.iinfo(kind).max
        for one in instances:
            label[decode_mask(one["mask"])] = places[one["category_id"]]
        facts = {"image_id": identity, "file_name": name, "instances": instances}
        return RawSample(
            key=f"{identity:012d}", image=data, annotation=facts | ({"crowds": crowds} if crowds else {}),
            label=label, maps={IDS: instance_ids(instances, size)},
        )  # fmt: skip

    def _drawn(self, entry: Mapping[str, Any], size: tuple[int, int], *, where: str) -> tuple[bool, dict[str, Any]]:
        """Whether an object is a crowd, and what the sample has of it."""
        with decoding(lambda reason: BadSampleError(where, f"object {entry['id']}", reason)):
            mask = mask_of(entry["segmentation"], height=size[0], width=size[1])
            pixels = int(decode_mask(mask).sum())
        facts = {key: entry[key] for key in ("id", "category_id", "box", "area") if key in entry}
        return entry["crowd"], {"category": self.names[entry["category_id"]], "mask": mask, "area": pixels} | facts


def _category(_: int, where: str, entry: Any) -> tuple[int, str]:
    """Id and name."""
    entry = object_of(entry, where=where)
    return whole_of(entry.get("id"), where=where, field="id"), text_of(entry, "name", where=where).strip()


def _picture(_: int, where: str, entry: Any) -> dict[str, Any]:
    """Id, file name, and the stated size."""
    entry = object_of(entry, where=where)
    name = text_of(entry, "file_name", where=where, expected="the name of a file").replace("\\", "/")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise EntryError("of a wrong form", f"{where}: the file name {name!r:.80} leads out of the folder of images")
    identity = whole_of(entry.get("id"), where=where, field="id")
    if identity < 0:
        raise wrong(where, "id", identity, "a whole number of 0 or more")
    return {"id": identity, "file_name": name, "width": entry.get("width"), "height": entry.get("height")}


def _object(names: Mapping[int, str], pictures: set[int], place: int, where: str, entry: Any) -> dict[str, Any]:
    """One object or crowd: whose it is, and its outline, which is drawn when its image is read."""
    entry = object_of(entry, where=where)
    identity = whole_of(entry.get("id", place), where=where, field="id")
    where = f"annotation {identity}"
    picture, category = (whole_of(entry.get(key), where=where, field=key) for key in ("image_id", "category_id"))
    for field, value, known in (("image_id", picture, pictures), ("category_id", category, names)):
        if value not in known:
            raise wrong(where, field, value, "one that the file lists")
    outline = entry.get("segmentation")
    if not isinstance(outline, dict | list) or not outline:
        raise wrong(where, "segmentation", outline, "polygons or runs")
    found = {
        "id": identity, "image_id": picture, "category_id": category, "segmentation": outline,
        "crowd": whole_of(entry.get("iscrowd") or 0, where=where, field="iscrowd") > 0,
    }  # fmt: skip
    if entry.get("bbox") is not None:
        corners = list_of(entry, "bbox", where=where, length=4, expected="x, y, width, height")
        box = [number(part) for part in corners]
        if None in box or min(part or 0 for part in box[2:]) < 0:
            raise wrong(where, "bbox", corners, "x, y, width, height")
        found |= {"box": box} if min(part or 0 for part in box[2:]) > 0 else {}
    area = number(entry.get("area"))
    return found | ({"area": area} if area and area > 0 else {})
