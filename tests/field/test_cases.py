"""Inputs from the field that were once read wrongly in silence: each ends in the right value or in a sentence."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from idiff.cli import main
from idiff.data.build.findings import class_notes
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


USABLE = [
    ("annid_str", "annotation_id", "a-1"),
    ("cat_str", "category", "person"),
    ("imgid_str", "num_keypoints", 3),
    ("kp_single", "box", [4, 5, 16, 16]),
    ("nan", "keypoints", [[0, 0, 0], [20, 10, 2], [30, 10, 1]]),
    ("null_area", "area_from_box", True),
    ("shape_nested_kp", "keypoints", [[10, 10, 2], [20, 10, 2]]),
    ("size_null", "num_keypoints", 3),
    ("size_str", "num_keypoints", 3),
    ("size_zero", "num_keypoints", 3),
]
"""Case, field of its first instance, value."""


@pytest.mark.parametrize(("case", "field", "value"), USABLE, ids=[case for case, _, _ in USABLE])
def test_what_the_field_writes_is_read(build, case, field, value):
    code, said, shards = build(case, "coco-keypoints")
    assert code == 0, said
    assert shards.read(0).annotation["instances"][0][field] == value


@pytest.mark.parametrize("case", ["strid_collide", "backslash", "nfd_name"])
def test_names_lose_no_sample(build, case):
    code, said, shards = build(case, "coco-keypoints")
    assert code == 0, said
    assert len({shards.read(index).key for index in range(len(shards))}) == 2


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("null_bbox", "annotation 1: 'bbox' is missing or null"),
        ("null_kp", "annotation 1: 'keypoints' is None, expected a list of x, y, v"),
        ("orphan", "annotation 2 names the image 99, which is not in 'images'"),
    ],
)
def test_only_the_wrong_entry_is_left_out_by_name(build, case, reason):
    code, said, shards = build(case, "coco-keypoints")
    assert code == 0 and reason in said
    assert len(shards) == 1


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("kp_pairs", "annotation 1: 8 numbers in 'keypoints' are no x, y, v of joints"),
        ("shape_annlist", "annotations[0] is [1, 2], expected an object"),
        ("shape_catnames", "categories[0] is 'person', expected an object with id, name and keypoints"),
        ("shape_intjoints", "category 'hand': 'keypoints' holds 0, expected a list with the joints' names"),
        ("shape_kpdict", "'keypoints' holds {'name': 'nose'}, expected a list with the joints' names"),
    ],
)
def test_files_without_a_usable_entry_are_one_sentence(build, case, reason):
    code, said, _ = build(case, "coco-keypoints")
    assert code == 2 and reason in said and "Traceback" not in said


def test_a_turned_image_is_said(build, tmp_path):
    code, _, shards = build("exif", "coco-keypoints")
    assert code == 0 and len(shards) == 3
    assert "EXIF rotation" in (tmp_path / "exif" / "rejected.jsonl").read_text()


@pytest.mark.parametrize(
    ("case", "source", "split", "samples"),
    [
        ("uni_stems", "coco-stuff", "val", 2),
        ("space_stems", "coco-stuff", "val", 3),
        ("cap_stem", "captioned", "train", 2),
    ],
)
def test_names_that_look_alike_keep_keys_of_their_own(build, case, source, split, samples):
    code, said, shards = build(case, source, split=split)
    assert code == 0, said
    assert len({shards.read(index).key for index in range(len(shards))}) == len(shards) == samples


def test_folders_before_a_name_are_kept(build):
    code, said, shards = build("refer_sub", "refcoco")
    assert code == 0, said
    assert [shards.read(place).annotation["file_name"] for place in range(2)] == ["day/0001.jpg", "night/0001.jpg"]
    assert not np.array_equal(shards.read(0).image, shards.read(1).image)


def test_an_id_that_is_there_twice_is_named(build):
    images = str(CASES / "refcoco_seg" / "train2014")
    code, said, _ = build("refcoco_seg/refcoco", "refcoco", "--images", images)
    assert code == 0 and "1 whose object's id is twice in instances.json, such as 7" in said


def test_bitmaps_and_tiffs_are_read_and_said(build):
    code, said, shards = build("pair_bmp", "paired", "--task", "denoise")
    assert code == 0 and "stored as PNG, without loss: 2 .bmp, 2 .tif" in said
    assert len(shards) == 3
    sent = np.asarray(Image.open(CASES / "pair_bmp" / "val" / "input" / "a.bmp").convert("RGB"))
    assert np.array_equal(shards.read(0).image, sent)


@pytest.mark.parametrize(
    ("case", "samples"), [("upper_png", 1), ("nfd_stems", 2), ("nested", 1), ("bmp_mask", 1), ("tif_pics", 1)]
)
def test_label_maps_are_found_however_they_are_called_and_stored(build, case, samples):
    code, said, shards = build(case, "coco-stuff")
    assert code == 0, said
    assert len(shards) == samples and "left out" not in said
    assert all(shards.read(place).label.max() < 255 for place in range(samples))


@pytest.mark.parametrize(
    ("case", "option", "file", "reason"),
    [
        ("mask_suffix", None, None, "no label map is called like its image: a.jpg in "),
        ("ann_is_file", "--annotations", "instances.json", "is a file, expected a folder of label maps (PNG)"),
        ("img_file", "--images", "x.zip", "is a file, expected a folder of images"),
    ],
)
def test_folders_that_hold_something_else_are_one_sentence(build, case, option, file, reason):
    code, said, _ = build(case, "coco-stuff", *([option, str(CASES / case / file)] if option else []))
    assert code == 2 and reason in said and said.count("\n") == 1


def test_the_commonest_reason_stands_in_the_last_sentence(build):
    code, said, _ = build("bg_unlisted", "coco-stuff")
    assert code == 2
    assert "Most often: 2 times, such as a: label: values [0] have no name in labels.txt" in said


def test_classes_that_no_label_map_has_are_said(build):
    _, said, _ = build("beside", "coco-stuff", *(f"--{kind}={CASES}/beside/pets" for kind in ("images", "annotations")))
    assert "in no label map" not in said
    assert class_notes(["a", "b", "c"], [1]) == [
        "classes in no label map: 'a', 'c'",
        "one class is left, 'b': nothing can be learned or measured. Check the list and the label maps",
    ]
    code, said, _ = build("unlabeled_shift", "coco-stuff")
    assert code == 0 and "class in no label map: 'person'" in said


def test_a_number_that_json_lacks_costs_no_caption(build):
    code, said, shards = build("cap_nan", "captioned", split="train")
    assert code == 0, said
    assert [shards.read(place).annotation["captions"] for place in range(2)] == [["a red chair"], ["a blue door"]]


def test_a_column_of_another_name_is_said(build):
    code, said, _ = build("cap_prompt", "captioned", split="train")
    assert code == 2 and "no column caption, text or captions: there are file_name, prompt" in said


def test_a_palette_of_gray_is_read_by_its_levels(build):
    code, said, shards = build("palette_grey", "coco-stuff")
    assert code == 0 and "gray levels are read as the classes" in said
    assert set(np.unique(shards.read(0).label).tolist()) == {0, 7, 11}


def test_shards_of_img2dataset_are_captioned_images(build, capsys):
    code, said, shards = build("img2dataset", "webdataset", split="train")
    assert code == 0, said
    assert [shards.read(place).annotation["captions"] for place in range(3)] == [
        [f"a caption {n}", f"c {n}"] for n in range(3)
    ]
    assert main(["data", "index", str(CASES / "img2dataset")]) == 2
    assert "read by `idiff data build webdataset --root DIR`" in capsys.readouterr().err


def test_a_table_that_is_none_is_one_sentence(build):
    code, said, _ = build("mb_parquet", "magicbrush", split="dev")
    assert code == 2 and said.count("\n") == 1
    assert "cannot be read as Parquet" in said or "needs pyarrow: pip install 'idiff[parquet]'" in said


def test_every_case_is_tried():
    tried = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert [case.name for case in CASES.iterdir() if f'"{case.name}' not in tried] == []


def test_facts_with_a_byte_order_mark_are_read(tmp_path, capsys):
    shutil.copy(CASES / "foreign_bommeta" / "a.tar", tmp_path)
    (tmp_path / "meta.json").write_text('{"classes": ["background", "cat", "dog"]}', "utf-8-sig")
    code = main(["data", "index", str(tmp_path), "--meta", str(tmp_path / "meta.json"), "--split", "val"])
    assert code == 0, capsys.readouterr()
    assert ShardSet.open(tmp_path).manifest.meta["classes"] == ["background", "cat", "dog"]
