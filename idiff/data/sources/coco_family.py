"""Key point sets that are published in COCO's form, or nearly: CrowdPose, AP-10K, Human-Art, AI Challenger.

Sources: CrowdPose (Li et al., CVPR 2019); AP-10K (Yu et al., NeurIPS 2021); Human-Art (Ju et al., CVPR 2023); AI Challenger
(Wu et al., 2017).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.data.sources.entries import list_of, number_of, object_of, read_each, text_of, wrong

AIC_JOINTS = (
    "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist", "right hip",
    "right knee", "right ankle", "left hip", "left knee", "left ankle", "head top", "neck",
)  # fmt: skip
"""Joints of AI Challenger in the order of its own files."""


class CrowdPose(CocoKeypoints):
    """People in crowds, 14 joints. The set has no areas: `area_from_box`, as its own evaluation does it."""

    what = "CrowdPose"
    annotation_places = (
        "json/crowdpose_{split}.json", "annotations/crowdpose_{split}.json", "annotations/mmpose_crowdpose_{split}.json",
        "crowdpose_{split}.json",
    )  # fmt: skip
    image_places = ("images", "images/{split}")


class Ap10k(CocoKeypoints):
    """Animals of 54 kinds, 17 joints that are the same for all. Splits `train`, `val`, `test` are those of split 1.

    `train-split2` and its like are the others.
    """

    what = "AP-10K"
    annotation_places = ("annotations/ap10k-{split}.json", "annotations/ap10k-{split}-split1.json")
    image_places = ("data", "images")


class HumanArt(CocoKeypoints):
    """People in paintings, sculptures, cartoons and photographs, with COCO's 17 joints.

    Its files name 21 joints; the four that COCO lacks (fingers and toes) are in a list of their own, which is not read.
    """

    what = "Human-Art"
    annotation_places = (
        "annotations/{split}_humanart.json", "HumanArt/annotations/{split}_humanart.json",
        "annotations/{split}_humanart*.json",
    )  # fmt: skip
    image_places = ("images", "HumanArt/images")

    def translate(self, value: Any) -> dict[str, Any]:
        """Cut the list of joints to those that `keypoints` has; name images from the folder of images on."""
        whole = super().translate(value)
        counts = Counter(len(each) // 3 for each in _fields(whole["annotations"], "keypoints", list))
        joints = counts.most_common(1)[0][0] if counts else None
        for entry in whole["categories"]:
            if isinstance(entry, dict) and isinstance(entry.get("keypoints"), list):
                entry["keypoints"] = entry["keypoints"][:joints]
        for entry in whole["images"]:
            if isinstance(entry, dict) and isinstance(entry.get("file_name"), str):
                entry["file_name"] = entry["file_name"].rpartition("images/")[2]
        return whole


class Aic(CocoKeypoints):
    """People, 14 joints, of AI Challenger: its own list of images, or the same converted to COCO's form.

    Its own visibility is 1 visible, 2 hidden, 3 not labelled; COCO's is 2, 1, 0.
    """

    what = "AI Challenger"
    annotation_places = (
        "annotations/aic_{split}.json", "*keypoint_{split}_*/keypoint_{split}_annotations_*.json",
        "keypoint_{split}_annotations_*.json", "aic_{split}.json",
    )  # fmt: skip
    image_places = (
        "*keypoint_{split}_*/keypoint_{split}_images_*", "keypoint_{split}_images_*", "images/{split}", "images",
    )  # fmt: skip

    def translate(self, value: Any) -> dict[str, Any]:
        """Bring the set's own list into COCO's form; what is in it already stays."""
        if not isinstance(value, list):
            return super().translate(value)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        faults: list[str] = []

        def picture(_: int, where: str, entry: Any) -> None:
            entry = object_of(entry, where=where)
            identity = text_of(entry, "image_id", where=where)
            people, boxes = (object_of(entry.get(f"{kind}_annotations"), where=f"{where}: '{kind}_annotations'")
                             for kind in ("keypoint", "human"))  # fmt: skip
            images.append({"id": identity, "file_name": f"{identity}.jpg"})
            names = sorted(people, key=lambda name: (len(name), name))
            for human in read_each(names, partial(_aic_human, people, boxes), name=f"image {identity}", faults=faults):
                annotations.append({"id": len(annotations), "image_id": identity, "category_id": 1} | human)

        read_each(value, picture, name="entries", faults=faults)
        categories = [{"id": 1, "name": "person", "keypoints": list(AIC_JOINTS)}]
        return {"images": images, "annotations": annotations, "categories": categories, "faults": faults}


def _aic_human(people: Mapping[str, Any], boxes: Mapping[str, Any], _: int, where: str, name: str) -> dict[str, Any]:
    """Key points and box of one person in COCO's form.

    Raises:
        EntryError: one of them cannot be used.
    """
    expected = f"x, y, v of {len(AIC_JOINTS)} joints with v 1, 2 or 3"
    points = list(list_of(people, name, where=where, length=3 * len(AIC_JOINTS), expected=expected))
    if not all(type(v) is int and v in {1, 2, 3} for v in points[2::3]):
        raise wrong(where, name, points[2::3], "1, 2 or 3 of each joint")
    points[2::3] = [3 - v for v in points[2::3]]
    corners = list_of(boxes, name, where=where, length=4, expected="the corners of a box")
    left, top, right, bottom = (number_of(part, where=where, field=name) for part in corners)
    return {"keypoints": points, "bbox": [left, top, right - left, bottom - top]}


def _fields(entries: Any, name: str, kind: type) -> list[Any]:
    """A field of the entries that have it, of one type."""
    listed = entries if isinstance(entries, list) else []
    return [one[name] for one in listed if isinstance(one, dict) and isinstance(one.get(name), kind)]
