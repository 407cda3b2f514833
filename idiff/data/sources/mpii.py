"""Human key points of MPII, as the JSON lists in use hold them.

Sources: MPII Human Pose (Andriluka et al., CVPR 2014); the lists are those of top-down pose training (HRNet's code).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.data.sources.entries import EntryError, list_of, number_of, object_of, read_each, text_of, wrong
from idiff.data.sources.mat_files import HIDDEN, mpii_people

JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "pelvis", "thorax", "upper neck",
    "head top", "right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow", "left wrist",
)  # fmt: skip
"""Joints in the order of the files."""

SIDE = 200.0
"""Side in pixels of a person's box, for one unit of `scale`."""

LOWER = 15.0
"""How far the box's centre lies below `center`, for one unit of `scale`, so that the feet are inside."""

_SEEN: dict[Any, int] = {0: 0, 1: 2, HIDDEN: 1}
"""Flag of a joint -> its visibility in COCO's terms."""


class Mpii(CocoKeypoints):
    """People, 16 joints: a JSON list with one entry a person, gathered by image; or the authors' own file, a `.mat`.

    Places in the files count from 1; here from 0. The box is a square of 200 x scale pixels, its centre 15 x scale below
    `center`. A joint of `joints_vis` 1 is visible; the lists do not tell hidden ones from those that nobody labelled, the
    `.mat` does. It has the people of `train` alone: those of `val` are a part of them that the lists name.
    """

    what = "MPII"
    annotation_places = (
        "annotations/mpii_{split}.json", "annot/mpii_{split}.json", "annot/{split}.json", "annotations/{split}.json",
        "mpii_{split}.json", "mpii_human_pose_v1_u12_1.mat", "*/mpii_human_pose_v1_u12_1.mat",
    )  # fmt: skip
    image_places = ("images",)

    def load(self, file: Path, split: str) -> Any:
        """The list; that of the authors' file in the same form."""
        return mpii_people(file, split) if file.suffix.lower() == ".mat" else super().load(file, split)

    def translate(self, value: Any) -> dict[str, Any]:
        """Bring the list into COCO's form: key points by image, places from 0, a box for each person."""
        if not isinstance(value, list):
            raise TypeError("expected a list with image, joints, joints_vis, center and scale of each person")
        names: dict[str, str] = {}
        faults: list[str] = []
        people = read_each(value, partial(_person, names), name="entries", faults=faults)
        return {
            "images": [{"id": identity, "file_name": name} for identity, name in names.items()],
            "annotations": people,
            "categories": [{"id": 1, "name": "person", "keypoints": list(JOINTS)}],
            "faults": faults,
        }


def _person(names: dict[str, str], place: int, where: str, entry: Any) -> dict[str, Any]:
    """One person in COCO's form; the image is entered in `names`, id -> file.

    Raises:
        EntryError: names the field that cannot be used.
    """
    entry = object_of(entry, where=where)
    name = text_of(entry, "image", where=where, expected="the name of a file")
    identity = PurePosixPath(name).stem
    if names.get(identity, name) != name:
        raise EntryError("of a wrong form", f"{where}: the images {names[identity]} and {name} have one name")
    joints, seen = entry.get("joints") or [], entry.get("joints_vis") or []
    if joints or seen:
        expected = f"a list for {len(JOINTS)} joints"
        joints = list_of(entry, "joints", where=where, length=len(JOINTS), expected=expected)
        seen = list_of(entry, "joints_vis", where=where, length=len(JOINTS), expected=expected)
    points: list[float] = []
    for joint, flag in zip(joints, seen, strict=True):
        if not isinstance(joint, list) or len(joint) != 2 or flag not in list(_SEEN):
            raise wrong(where, "joints", [joint, flag], "x, y and a flag of 0 or 1")
        x, y = (number_of(part, where=where, field="joints") - 1 for part in joint)
        points += (x, y, _SEEN[flag]) if flag else (0, 0, 0)
    center = list_of(entry, "center", where=where, length=2, expected="x and y")
    x, y = (number_of(part, where=where, field="center") - 1 for part in center)
    box = _box(x, y, number_of(entry.get("scale"), where=where, field="scale"))
    names[identity] = name
    return {"id": place, "image_id": identity, "category_id": 1, "keypoints": points, "bbox": box}


def _box(x: float, y: float, scale: float) -> list[float]:
    """x, y, width, height; a pixel's centre is a whole number, so a box edge lies half a pixel before one."""
    side = SIDE * scale
    if x < 0 or side <= 0:
        return []
    return [x - side / 2 + 0.5, y + LOWER * scale - side / 2 + 0.5, side, side]
