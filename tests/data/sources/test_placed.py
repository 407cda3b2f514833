"""Joints and boxes that do not lie where their images are."""

import json

import pytest
from set_making import save_picture

from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.errors import DataError


def one_person(root, joint, box, *, size=(80, 40), again=()):
    save_picture(root / "images/val/a.jpg", *size)
    value = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 80, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "keypoints": [*joint, 2]}],
        "categories": [{"id": 1, "name": "person", "keypoints": ["nose"]}],
    }
    value["annotations"] += [value["annotations"][0] | change for change in again]
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


def test_an_annotation_that_is_listed_twice_counts_once(tmp_path):
    source = one_person(tmp_path, [50, 25], [0, 0, 80, 40], again=[{}, {"bbox": [0, 0, 40, 40]}])
    assert [len(one) for one in source.instances()] == [2]
    assert source.left_out == {"listed twice": 1}
    (faults, twice) = source.notes()
    assert "annotation 1 is listed twice, the same in every value" in faults
    assert twice == "1 instances have the id of another one, with other values: both are kept"


def test_images_of_another_size_than_stated_are_said(tmp_path):
    (note,) = one_person(tmp_path, [30, 15], [0, 0, 80, 40], size=(40, 20)).notes()
    assert note.startswith("1 of 1 images that were looked at have another size than the list states, such as a.jpg")
    assert "with 40x20, stated 80x40" in note


def test_a_list_without_instances_says_so(tmp_path):
    one_person(tmp_path, [50, 25], [0, 0, 80, 40])
    file = tmp_path / "annotations/person_keypoints_val.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"annotations": []}))
    with pytest.raises(DataError, match=r"labels no joint that can be used: .* it lists no instance\.$"):
        CocoKeypoints(str(tmp_path), "val")
