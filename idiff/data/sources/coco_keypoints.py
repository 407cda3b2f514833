"""Key points in COCO's format, with any categories and joints.

Source: COCO data format, "keypoint detection" (https://cocodataset.org/#format-data).
"""

from __future__ import annotations

import glob
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.annotation import parse_json
from idiff.data.sources.base import RawSample, Source, read_file, safe_key
from idiff.data.sources.skeleton import skeleton
from idiff.errors import BadSampleError, DataError, missing
from idiff.utils.picture_files import picture_size

AREA_OF_BOX = 0.53
"""Share of its box that a person fills, where a set has no areas (the convention of CrowdPose's evaluation)."""


class CocoKeypoints(Source):
    """One sample a picture that has at least one instance with a labelled joint.

    Left out and counted: crowds, instances without a labelled joint or without a box.
    `annotation`: `image_id`, `file_name`, and `instances` with `keypoints`, `box`, `area`, `id`, `category`, `category_id`,
    `num_keypoints`; `area_from_box` is true where the set gives no area.

    Args:
        root: folder of the set.
        split: `train`, `val`, `train2017`, ...
        annotations: the JSON file, where it is not found under `root`.
        images: the folder of the pictures, where it is not found under `root`.

    Raises:
        DataError: files are not where they should be, or the JSON is not in this format.
    """

    tasks = ("keypoints",)
    unit = "instances"

    def __init__(self, root: str, split: str, annotations: str | None = None, images: str | None = None) -> None:
        self.file = Path(annotations) if annotations else find_annotations(Path(root), split)
        self.folder = Path(images) if images else find_images(Path(root), split, self.file)
        for path, what in ((self.file, "COCO annotations"), (self.folder, "the folder of pictures")):
            if not path.exists():
                raise missing(path, what=what, remedy="Give --annotations FILE and --images DIR.")
        value = _parse(self.file)
        try:
            self.skeletons, names = _skeletons(value["categories"])
            self._pictures = _pictures(value["images"])
            self._instances, self.left_out = _instances(value["annotations"], names, self.skeletons)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise DataError(f"{self.file} is not a COCO key point file: {reason}.") from error
        unknown = [identity for identity in self._instances if identity not in self._pictures]
        if unknown:
            raise DataError(f"{self.file}: annotations name the picture {unknown[0]}, which is not in 'images'.")
        self._ids = sorted(self._instances, key=lambda identity: (isinstance(identity, str), identity))

    def meta(self) -> dict[str, Any]:
        """Skeleton of each category that has joints."""
        return {"skeletons": self.skeletons}

    def funnel(self) -> dict[str, int]:
        """All pictures, then those with labelled joints; the instances left out are named where there are any."""
        steps = {"found": len(self._pictures), "with labelled joints": len(self._ids)}
        if not self.left_out:
            return steps
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.left_out.items()))
        return {"found": steps["found"], f"with labelled joints (instances left out: {reasons})": len(self._ids)}

    def __len__(self) -> int:
        return len(self._ids)

    def sample(self, index: int) -> RawSample:
        """Read one picture and its instances; checks the size that the JSON states."""
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


def find_annotations(root: Path, split: str) -> Path:
    """Find the JSON of a split under `annotations/`.

    Raises:
        DataError: none, or several.
    """
    folder, word = root / "annotations", glob.escape(split)
    for pattern in (f"person_keypoints_{word}.json", f"person_keypoints_{word}*.json", f"*keypoints*{word}*.json"):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DataError(
                f"{folder} has several files for split '{split}': {names}. Choose one by --annotations FILE."
            )
        if found:
            return found[0]
    raise missing(
        folder / f"person_keypoints_{split}.json",
        what="COCO key point annotations",
        remedy="Check --root and --split, or give --annotations.",
    )


def find_images(root: Path, split: str, annotations: Path) -> Path:
    """Find the folder of a split's pictures.

    Raises:
        DataError: none of the usual places exists.
    """
    year_split = annotations.stem.rpartition("_")[2]
    places = [
        f"{base}{name}" for name in (split, year_split, f"{split}2017", f"{split}2014") for base in ("images/", "")
    ]
    for place in places:
        if (root / place).is_dir():
            return root / place
    raise missing(
        root / places[0], what=f"the pictures, there or in {', '.join(places[1:])}", remedy="Give --images DIR."
    )


def _parse(file: Path) -> dict[str, Any]:
    try:
        value = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise DataError(
            f"{file} is not a COCO key point file: expected an object with images, annotations and categories."
        )
    return value


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
    """Picture id -> picture. Refuses ids that come twice and file names that leave the folder."""
    pictures = {}
    for picture in images:
        if type(picture["id"]) not in {int, str}:
            raise ValueError(f"the picture id {picture['id']!r} is neither a whole number nor a string")
        path = PurePosixPath(picture["file_name"])
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"file name {picture['file_name']!r} leads out of the folder of pictures")
        if picture["id"] in pictures:
            raise ValueError(f"two pictures have the id {picture['id']}")
        pictures[picture["id"]] = picture
    return pictures


def _instances(
    entries: list[dict[str, Any]], names: dict[Any, str], skeletons: dict[str, Any]
) -> tuple[dict[Any, list[dict[str, Any]]], Counter[str]]:
    """Picture id -> its usable instances, in the file's order; and how many were left out, by reason."""
    instances: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for entry in entries:
        values = entry.get("keypoints", [])
        category = names.get(entry["category_id"])
        points = [[float(x), float(y), int(v)] for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True)]
        labelled = sum(point[2] > 0 for point in points)
        box = [float(value) for value in entry.get("bbox", [])]
        if entry.get("iscrowd"):
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
