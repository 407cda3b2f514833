"""Key points in COCO's format, with any categories and joints.

Source: COCO data format, "keypoint detection" (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from idiff.data.sources.base import RawSample, Source, locate, safe_keys
from idiff.data.sources.coco_entries import number, read_entries
from idiff.data.sources.converting import read_picture
from idiff.data.sources.places import check_pictures, find_file, find_folder, given, read_json
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import picture_size
from idiff.utils.sigmas import has_sides

SAME_ASPECT = 0.02
"""Sizes whose aspect ratios differ by less than this share are scaled copies of each other."""


class CocoKeypoints(Source):
    """One sample an image that has at least one instance with a labelled joint. Base of the sets that are alike.

    Left out and counted: crowds, instances without a labelled joint or without a box, and entries of a wrong form, which
    are named.
    `annotation`: `image_id`, `file_name`, and `instances` with `keypoints`, `box`, `area`, `id`, `category`, `category_id`,
    `num_keypoints`; `area_from_box` is true where the set gives no area.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        annotations: the JSON file, where it is not found under `root`.
        images: the folder of the images, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, the JSON is not in this format, or it labels nothing.

    A set in a like format is a subclass: `what` it is, the places of its files below `root` (`{split}` is the split,
    `{year}` the last word of the annotation file's name), and how its file is brought into COCO's form (`translate`).
    """

    tasks = ("keypoints",)
    unit = "instances"
    what: ClassVar[str] = "COCO key point"
    annotation_places: ClassVar[Sequence[str]] = (
        "annotations/person_keypoints_{split}.json",
        "annotations/person_keypoints_{split}*.json",
        "annotations/*keypoints*{split}*.json",
    )
    image_places: ClassVar[Sequence[str]] = (
        "images/{split}", "{split}", "images/{year}", "{year}", "images/{split}2017", "{split}2017",
        "images/{split}2014", "{split}2014",
    )  # fmt: skip

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        folder = Path(root)
        self.file = (
            given(annotations, what=f"{self.what} annotations", remedy="Check --annotations.")
            if annotations
            else find_file(
                folder, self.annotation_places, split=split, what=f"{self.what} annotations",
                remedy="Check --root and --split, or give --annotations FILE.",
            )
        )  # fmt: skip
        year = glob.escape(self.file.stem.rpartition("_")[2])
        places = [
            place.replace("{year}", year) for place in self.image_places if "{" not in year or "{year}" not in place
        ]
        self.folder = (
            given(images, what="the folder of images", remedy="Check --images.")
            if images
            else find_folder(folder, places, split=split, what="the images", remedy="Give --images DIR.")
        )
        raw = read_json(self.file, finite=False)
        try:
            self.skeletons, entries = read_entries(self.translate(raw))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{self.file} is no {self.what} file: {reason}.") from error
        self._pictures, self._instances, self.left_out = entries.pictures, entries.instances, entries.left_out
        self._faults, self._boxes_of_joints = entries.first_faults(), entries.boxes_of_joints
        if not self._instances:
            reason = self._faults or f"is '{split}' a split without labels? {self._left_out()}"
            raise DataError(f"{self.file} labels no joint that can be used: {reason}.")
        self._ids = sorted(self._instances, key=lambda identity: (isinstance(identity, str), identity))
        self._keys = dict(zip(self._ids, _keys(self._ids), strict=True))
        check_pictures(self.folder, (self._pictures[one]["file_name"] for one in self._ids), listed=self.file)

    def meta(self) -> dict[str, Any]:
        """Skeleton of each category that has joints."""
        return {"skeletons": self.skeletons}

    def notes(self) -> list[str]:
        """Entries that were left out or mended, and categories whose joints have no left and right: a mirror would be wrong."""
        told = [f"left out, because of a wrong form: {self._faults}"] if self._faults else []
        if self._boxes_of_joints:
            told.append(f"{self._boxes_of_joints:,} boxes without an area were made of the joints: see box_from_joints")
        return told + [
            f"category '{name}': no joint has a left and a right by its name, so its images are never mirrored. Name them such as "
            "left_eye and right_eye, or give flip_pairs."
            for name, each in self.skeletons.items()
            if not has_sides(each["joints"], each["pairs"])
        ]

    def funnel(self) -> dict[str, int]:
        """All images, then those with labelled joints; the instances left out are named where there are any."""
        steps = {"found": len(self._pictures), "with labelled joints": len(self._ids)}
        if not self.left_out:
            return steps
        return {"found": steps["found"], f"with labelled joints ({self._left_out()})": len(self._ids)}

    def translate(self, value: Any) -> dict[str, Any]:
        """The parsed file as COCO has it: an object with `images`, `annotations` and `categories`.

        Raises:
            KeyError, TypeError, ValueError, IndexError: the file is of another kind.
        """
        if not isinstance(value, dict):
            raise TypeError("expected an object with images, annotations and categories")
        return value

    def __len__(self) -> int:
        return len(self._ids)

    def sample(self, index: int) -> RawSample:
        """Read one image and its instances. The stated size gives way to the file's where all joints lie in the image."""
        identity = self._ids[index]
        picture = self._pictures[identity]
        name = picture["file_name"]
        data = read_picture(locate(self.folder, name), where=name, field="source")
        size = picture_size(data, where=name)
        fault = wrong_size(picture, size, self._instances[identity])
        if fault:
            raise BadSampleError(name, "source", fault)
        facts = {"image_id": identity, "file_name": name, "instances": self._instances[identity]}
        return RawSample(key=self._keys[identity], image=data, annotation=facts)

    def _left_out(self) -> str:
        """The instances that are not used, by reason."""
        return "instances left out: " + ", ".join(
            f"{count} {reason}" for reason, count in sorted(self.left_out.items())
        )


def wrong_size(picture: Mapping[str, Any], size: tuple[int, int], instances: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong about the size that the file states of an image; empty where it may be used.

    Args:
        picture: entry of 'images'; its `width` and `height` may be missing, zero or text.
        size: upright (height, width) of the image file.
        instances: of the image, with `keypoints`.
    """
    height, width = size
    stated = number(picture.get("width")) or width, number(picture.get("height")) or height
    if stated == (width, height):
        return ""
    sizes = f"{width}x{height} pixels, expected {stated[0]:.0f}x{stated[1]:.0f} as annotated"
    if stated == (height, width):
        return (
            f"{sizes}: width and height are swapped, or the image was labelled without its EXIF rotation. Save the images "
            "upright and correct the annotations"
        )
    joints = [point for instance in instances for point in instance["keypoints"] if point[2] > 0]
    if width > stated[0] and abs(width * stated[1] / (height * stated[0]) - 1) < SAME_ASPECT:
        return f"{sizes}: the image was enlarged, and the joints were not"
    fits = all(0 <= x <= width and 0 <= y <= height for x, y, _ in joints)
    return "" if fits else f"{sizes}, and joints lie outside of it"


def _keys(identities: Sequence[Any]) -> list[str]:
    """Twelve digits for a number; for text as `safe_keys`."""
    texts = iter(safe_keys([one for one in identities if isinstance(one, str)]))
    return [f"{one:012d}" if isinstance(one, int) else next(texts) for one in identities]
