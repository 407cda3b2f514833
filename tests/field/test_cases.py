"""Inputs from the field that were once read wrongly in silence: each ends in the right value or in a sentence."""

from pathlib import Path

import numpy as np
import pytest

from idiff.cli import main
from idiff.data.shards.reader import ShardSet

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def build(tmp_path, capsys):
    def build(case, source, *words, split="val"):
        out = tmp_path / case
        code = main(["data", "build", source, "--root", str(CASES / case), "--split", split, "--out", str(out), *words])
        said = capsys.readouterr()
        return code, said.out + said.err, ShardSet.open(out) if code == 0 else None

    return build


@pytest.mark.parametrize("case", ["mirror_lr", "mirror_camel"])
def test_sides_are_found_however_they_are_written(build, case):
    code, _, shards = build(case, "coco-keypoints")
    assert code == 0
    (skeleton,) = shards.manifest.meta["skeletons"].values()
    assert skeleton["pairs"] == [[1, 2]]
    assert {"left shoulder", "right shoulder"} <= set(skeleton["joints"])


def test_a_confidence_is_not_a_visibility(build):
    code, said, _ = build("kp_confidence", "coco-keypoints")
    assert code == 2 and "has the visibility 0.96: expected 0 (not labelled), 1 (hidden) or 2 (visible)" in said


def test_the_text_0_is_no_crowd(build):
    code, said, shards = build("iscrowd_str", "coco-keypoints")
    assert code == 0 and "crowds" not in said
    assert len(shards) == 2


def test_a_file_under_two_ids_keeps_all_captions(build):
    code, _, shards = build("cap_dupfile", "captioned", split="train")
    assert code == 0
    assert len(shards.read(0).annotation["captions"]) == 3


def test_trainval_is_not_train(build):
    code, said, _ = build("trainval", "coco-keypoints", split="train")
    assert code == 2 and "person_keypoints_train" in said and "is missing" in said


@pytest.mark.parametrize(
    ("case", "source", "split"),
    [
        ("bom", "coco-keypoints", "val"),
        ("bom_edits", "edit-list", "val"),
        ("bom_caption", "captioned", "train"),
        ("bom_labels", "coco-stuff", "val"),
    ],
)
def test_a_byte_order_mark_is_no_part_of_the_text(build, case, source, split):
    code, said, shards = build(case, source, split=split)
    assert code == 0, said
    assert len(shards) >= 1
    if source == "coco-stuff":
        assert all(name.isprintable() for name in shards.manifest.meta["classes"])


def test_an_own_list_is_not_shifted(build):
    code, _, shards = build("unlabeled_shift", "coco-stuff")
    assert code == 0
    classes = shards.manifest.meta["classes"]
    assert classes == ["road", "car", "person"]
    found = {int(value) for index in range(len(shards)) for value in np.unique(shards.read(index).label)}
    assert found <= {0, 1, 2, 255} and 255 in found


def test_masks_of_0_and_255_are_two_classes(build):
    code, said, shards = build("fit_0_255", "coco-stuff")
    assert code == 0 and "255 is read as 'lesion', not as void" in said
    found = {int(value) for index in range(len(shards)) for value in np.unique(shards.read(index).label)}
    assert found == {0, 1}


def test_masks_beside_their_images_are_not_taken_for_them(build):
    pets = str(CASES / "beside" / "pets")
    code, said, shards = build("beside", "coco-stuff", "--images", pets, "--annotations", pets)
    assert code == 0, said
    assert len(shards) == 2
    for index in range(2):
        sample = shards.read(index)
        assert sample.annotation["file_name"].endswith(".jpg")
        assert len(np.unique(sample.image)) > 8  # a photograph, not a map of a few classes
