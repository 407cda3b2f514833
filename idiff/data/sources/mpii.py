"""Human key points of MPII, as the JSON lists in use hold them.

Sources: MPII Human Pose (Andriluka et al., CVPR 2014); the lists are those of top-down pose training (HRNet's code).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from idiff.data.sources.coco_keypoints import CocoKeypoints

JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "pelvis", "thorax", "upper neck",
    "head top", "right wrist", "right elbow", "right shoulder", "left shoulder", "left elbow", "left wrist",
)  # fmt: skip
"""Joints in the order of the files."""

SIDE = 200.0
"""Side in pixels of a person's box, for one unit of `scale`."""

LOWER = 15.0
"""How far the box's centre lies below `center`, for one unit of `scale`, so that the feet are inside."""


class Mpii(CocoKeypoints):
    """People, 16 joints: a JSON list with one entry a person, gathered by image.

    Places in the files count from 1; here from 0. The box is a square of 200 x scale pixels, its centre 15 x scale below
    `center`. A joint of `joints_vis` 1 is visible; the lists do not tell hidden ones from those that nobody labelled.
    """

    what = "MPII"
    annotation_places = (
        "annotations/mpii_{split}.json", "annot/mpii_{split}.json", "annot/{split}.json", "annotations/{split}.json",
        "mpii_{split}.json",
    )  # fmt: skip
    image_places = ("images",)

    def translate(self, value: Any) -> dict[str, Any]:
        """Bring the list into COCO's form: key points by image, places from 0, a box for each person."""
        if not isinstance(value, list):
            raise TypeError("expected a list with image, joints, joints_vis, center and scale of each person")
        names: dict[str, str] = {}
        annotations = []
        for place, entry in enumerate(value):
            identity = PurePosixPath(entry["image"]).stem
            if names.setdefault(identity, entry["image"]) != entry["image"]:
                raise ValueError(f"the images {names[identity]} and {entry['image']} have one name")
            joints, seen = entry.get("joints", []), entry.get("joints_vis", [])
            if joints and (len(joints) != len(JOINTS) or len(seen) != len(JOINTS)):
                raise ValueError(
                    f"entry {place} has {len(joints)} joints and {len(seen)} flags, expected {len(JOINTS)}"
                )
            points = [
                number
                for (x, y), flag in zip(joints, seen, strict=False)
                for number in ((x - 1, y - 1, 2) if flag else (0, 0, 0))
            ]
            annotations.append(
                {
                    "id": place, "image_id": identity, "category_id": 1, "keypoints": points,
                    "bbox": _box(entry["center"], float(entry["scale"])),
                }
            )  # fmt: skip
        return {
            "images": [{"id": identity, "file_name": name} for identity, name in names.items()],
            "annotations": annotations,
            "categories": [{"id": 1, "name": "person", "keypoints": list(JOINTS)}],
        }


def _box(center: Any, scale: float) -> list[float]:
    """x, y, width, height; a pixel's centre is a whole number, so a box edge lies half a pixel before one."""
    x, y = (float(value) - 1 for value in center)
    side = SIDE * scale
    if x < 0 or side <= 0:
        return []
    return [x - side / 2 + 0.5, y + LOWER * scale - side / 2 + 0.5, side, side]
