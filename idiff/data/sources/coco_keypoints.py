"""Key points in COCO's format, with any categories and joints.

Source: COCO data format, "keypoint detection" (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from idiff.data.sources.base import RawSample, Source, read_file, safe_key
from idiff.data.sources.joint_names import skeleton
from idiff.data.sources.places import check_pictures, find_file, find_folder, given, read_json
from idiff.errors import BadSampleError, DataError
from idiff.utils.picture_files import picture_size

UNPAIRED = 3
"""So many joints may have no left and right without a word."""

AREA_OF_BOX = 0.53
"""Share of its box that a person fills, where a set has no areas (the convention of CrowdPose's evaluation)."""


class CocoKeypoints(Source):
    """One sample an image that has at least one instance with a labelled joint. Base of the sets that are alike.

    Left out and counted: crowds, instances without a labelled joint or without a box.
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
        raw = read_json(self.file)
        try:
            value = self.translate(raw)
            self.skeletons, names = _skeletons(value["categories"])
            self._pictures = _pictures(value["images"])
            self._instances, self.left_out = _instances(value["annotations"], names, self.skeletons)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{self.file} is no {self.what} file: {reason}.") from error
        if not self._instances:
            raise DataError(f"{self.file} labels no joint (is '{split}' a split without labels?). {self._left_out()}")
        unknown = [identity for identity in self._instances if identity not in self._pictures]
        if unknown:
            raise DataError(f"{self.file}: annotations name the image {unknown[0]}, which is not in 'images'.")
        self._ids = sorted(self._instances, key=lambda identity: (isinstance(identity, str), identity))
        check_pictures(self.folder, (self._pictures[one]["file_name"] for one in self._ids), listed=self.file)

    def meta(self) -> dict[str, Any]:
        """Skeleton of each category that has joints."""
        return {"skeletons": self.skeletons}

    def notes(self) -> list[str]:
        """Categories whose joints have no left and right: a mirror would be wrong."""
        return [
            f"category '{name}': no joint has a left and a right by its name, so its images are never mirrored. Name them such as "
            "left_eye and right_eye, or give flip_pairs."
            for name, each in self.skeletons.items()
            if len(each["joints"]) > UNPAIRED and not each["pairs"]
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
        """Read one image and its instances; checks the size that the JSON states."""
        identity = self._ids[index]
        picture = self._pictures[identity]
        name = picture["file_name"]
        data = read_file(self.folder / name, where=name, field="source")
        height, width = picture_size(data, where=name)
        stated = (picture.get("width", width), picture.get("height", height))
        if stated != (width, height):
            raise BadSampleError(
                name, "source", f"{width}x{height} pixels, expected {stated[0]}x{stated[1]} as annotated"
            )
        key = f"{identity:012d}" if isinstance(identity, int) else safe_key(str(identity))
        facts = {"image_id": identity, "file_name": name, "instances": self._instances[identity]}
        return RawSample(key=key, image=data, annotation=facts)

    def _left_out(self) -> str:
        """The instances that are not used, by reason."""
        return "instances left out: " + ", ".join(
            f"{count} {reason}" for reason, count in sorted(self.left_out.items())
        )


def _visibility(value: Any, entry: dict[str, Any]) -> int:
    """COCO's v: 0 not labelled, 1 hidden, 2 visible.

    Raises:
        ValueError: another value, such as the confidence of a pose model.
    """
    if value not in (0, 1, 2):
        raise ValueError(
            f"annotation {entry.get('id')} has the visibility {value!r}: expected 0 (not labelled), 1 (hidden) or 2 (visible). "
            "Confidences of a pose model have to be turned into these first"
        )
    return int(value)


def _skeletons(categories: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[Any, str]]:
    """Category name -> skeleton; category id -> name."""
    skeletons = {}
    names = {}
    for category in categories:
        if category.get("keypoints"):
            names[category["id"]] = category["name"]
            skeletons[category["name"]] = skeleton(category["keypoints"], category.get("flip_pairs"))
    if not skeletons:
        raise ValueError("no category has 'keypoints'")
    if len(skeletons) != len(names):
        raise ValueError("two categories have the same name")
    return skeletons, names


def _pictures(images: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Image id -> image. Refuses ids that come twice and file names that leave the folder."""
    pictures = {}
    for picture in images:
        if type(picture["id"]) not in {int, str}:
            raise ValueError(f"the image id {picture['id']!r} is neither a whole number nor a string")
        path = PurePosixPath(picture["file_name"])
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file name {picture['file_name']!r} leads out of the folder of images")
        if picture["id"] in pictures:
            raise ValueError(f"two images have the id {picture['id']}")
        pictures[picture["id"]] = picture
    return pictures


def _instances(
    entries: list[dict[str, Any]], names: dict[Any, str], skeletons: dict[str, Any]
) -> tuple[dict[Any, list[dict[str, Any]]], Counter[str]]:
    """Image id -> its usable instances, in the file's order; and how many were left out, by reason."""
    instances: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for entry in entries:
        values = entry.get("keypoints", [])
        category = names.get(entry["category_id"])
        points = [
            [float(x), float(y), _visibility(v, entry)]
            for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True)
        ]
        labelled = sum(point[2] > 0 for point in points)
        box = [float(value) for value in entry.get("bbox", [])]
        if str(entry.get("iscrowd", 0)).strip().lower() not in {"0", "0.0", "false", "none", ""}:
            left_out["crowds"] += 1
        elif category is None or not labelled:
            left_out["without labelled joints"] += 1
        elif len(points) != len(skeletons[category]["joints"]):
            joints = len(skeletons[category]["joints"])
            raise ValueError(f"annotation {entry['id']} has {len(points)} joints, its category '{category}' {joints}")
        elif len(box) != 4 or min(box[2:]) <= 0:
            left_out["without a box"] += 1
        else:
            instance = {
                "category": category, "category_id": entry["category_id"], "id": entry["id"],
                "keypoints": points, "num_keypoints": labelled, "box": box,
                "area": float(entry.get("area", 0)) or box[2] * box[3] * AREA_OF_BOX,
            }  # fmt: skip
            instances[entry["image_id"]].append(instance | ({} if entry.get("area") else {"area_from_box": True}))
    return dict(instances), left_out
