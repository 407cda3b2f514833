"""Joints and boxes that do not lie where their images are."""

import json

import pytest
from set_making import save_picture

from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.errors import DataError


def one_person(root, joint, box):
    save_picture(root / "images/val/a.jpg", 80, 40)
    value = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "keypoints": [*joint, 2]}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}],
    }
    (root / "annotations").mkdir()
    (root / "annotations/person_keypoints_val.json").write_text(json.dumps(value))
    return CocoKeypoints(str(root), "val")


def test_shares_are_no_pixels(tmp_path):
    with pytest.raises(DataError, match=r"every joint lies within 0 and 1, expected pixels\. Multiply x by"):
        one_person(tmp_path, [0.25, 1.0], [0.1, 0.1, 0.5, 0.5])


@pytest.mark.parametrize(
    ("joint", "box", "note"),
    [
        ([900, 5], [0, 0, 80, 40], "1 labelled joints lie outside of their images, such as in image 1"),
        ([50, 25], [40, 20, 70, 35], "1 of 1 boxes end outside of their images: expected x, y, width, height, not two corners"),
        ([80, 40], [0, 0, 80, 40], ""),
    ],
)  # fmt: skip
def test_places_outside_of_the_image_are_said(tmp_path, joint, box, note):
    assert "".join(one_person(tmp_path, joint, box).notes()) == note
