"""Key point sets that are published in COCO's form, or nearly: CrowdPose, AP-10K, Human-Art, AI Challenger.

Sources: CrowdPose (Li et al., CVPR 2019); AP-10K (Yu et al., NeurIPS 2021); Human-Art (Ju et al., CVPR 2023); AI Challenger
(Wu et al., 2017).
"""

from __future__ import annotations

from typing import Any

from idiff.data.sources.coco_keypoints import CocoKeypoints

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
        counts = {len(entry["keypoints"]) // 3 for entry in whole["annotations"]}
        if len(counts) > 1:
            raise ValueError(f"people have {sorted(counts)} joints, expected one number")
        joints = next(iter(counts), None)
        categories = [entry | {"keypoints": entry["keypoints"][:joints]} for entry in whole["categories"]]
        images = [entry | {"file_name": entry["file_name"].rpartition("images/")[2]} for entry in whole["images"]]
        return whole | {"categories": categories, "images": images}


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
        for entry in value:
            identity = entry["image_id"]
            images.append({"id": identity, "file_name": f"{identity}.jpg"})
            for human in sorted(entry["keypoint_annotations"], key=lambda name: (len(name), name)):
                points = entry["keypoint_annotations"][human]
                left, top, right, bottom = entry["human_annotations"][human]
                if len(points) != 3 * len(AIC_JOINTS) or not {*points[2::3]} <= {1, 2, 3}:
                    raise ValueError(f"{human} of image {identity} is not {len(AIC_JOINTS)} of x, y, v with v 1 to 3")
                for place in range(2, len(points), 3):
                    points[place] = 3 - points[place]
                annotations.append(
                    {
                        "id": len(annotations), "image_id": identity, "category_id": 1, "keypoints": points,
                        "bbox": [left, top, right - left, bottom - top],
                    }
                )  # fmt: skip
        categories = [{"id": 1, "name": "person", "keypoints": list(AIC_JOINTS)}]
        return {"images": images, "annotations": annotations, "categories": categories}
