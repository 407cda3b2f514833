"""Raw sets: whatever their lists and annotations hold, listing and reading ends in samples, bad samples, or an error of ours."""

import json
import pickle

import numpy as np
import pytest
from fuzzing import SEEDS, altered, any_bytes, budget, changed, json_bytes, json_files, like, tried
from hypothesis import given
from hypothesis import strategies as st
from raw_layouts import (
    containers,
    editing,
    keypoint_formats,
    keypoints,
    label_sets,
    large_label_sets,
    map_sets,
    object_sets,
    refcoco,
)

from idiff.data.sources import create
from idiff.errors import BadSampleError
from idiff.utils.plain_pickle import load_plain


def captioned(root):
    editing.put(root / "train2017" / "a.png", editing.smooth(1))
    value = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "id": 5, "caption": "a chair"}],
    }
    editing.put_json(root / "annotations" / "captions_train2017.json", value)


def coco(root):
    keypoints.save_picture(root / "val2017" / "a.jpg", keypoints.WIDTH, keypoints.HEIGHT)
    value = keypoints.coco_like(keypoints.COCO, ["a.jpg"], people=(2,))
    keypoints.write(root / "annotations" / "person_keypoints_val2017.json", value)


LAYOUTS = {
    "coco-keypoints": (coco, "val", "annotations/person_keypoints_val2017.json"),
    "crowdpose": (keypoints.crowdpose, "val", "json/crowdpose_val.json"),
    "ap10k": (keypoints.ap10k, "val", None),
    "humanart": (keypoints.humanart, "val", None),
    "aic": (keypoints.aic, "val", None),
    "mpii": (keypoints.mpii, "val", None),
    "coco-instances": (object_sets.coco, "val", "annotations/instances_val2017.json"),
    "refcoco": (refcoco.published, "val", "refcoco/instances.json"),
    "captioned": (captioned, "train", "annotations/captions_train2017.json"),
    "edit-list": (editing.edit_list, "train", "train/edits.json"),
    "ip2p": (editing.ip2p_folders, "all", None),
    "magicbrush": (editing.magicbrush, "train", None),
    "gier": (editing.gier, "train", None),
    "gqa-inpaint": (editing.gqa, "train", None),
}
"""Source -> what writes a small set, its split, its annotations; None: all JSON files of the set, in turn."""


def read_all(name, root, split):
    """List a set and read its first samples."""
    options = {"root": str(root), "split": split}
    source = create(name, options)
    assert isinstance(json.dumps(source.meta()), str)
    source.notes()
    for place in range(min(len(source), 3)):
        try:
            assert source.sample(place).key
        except BadSampleError as error:
            assert error.reason


@pytest.mark.parametrize("name", LAYOUTS)
def test_annotations_of_sets(name, tmp_path):
    write, split, listed = LAYOUTS[name]
    write(tmp_path)
    files = [tmp_path / listed] if listed else sorted(tmp_path.rglob("*.json"))
    root = tmp_path / "refcoco" if name == "refcoco" else tmp_path
    read_all(name, root, split)
    values = {file: json.loads(file.read_bytes()) for file in files}

    @budget(1)
    @given(st.sampled_from(files), st.data())
    def property_(file, data):
        value = values[file]
        file.write_bytes(data.draw(json_files(value)))
        with tried(f"annotations: {name}"):
            read_all(name, root, split)
        file.write_bytes(json_bytes(value))

    property_()


def plain(value):
    """A value as a pickle of refs has it; deep or odd values are left as they are."""
    return pickle.dumps(value, protocol=2)


def test_pickled_references(tmp_path):
    refcoco.published(tmp_path)
    (file,) = tmp_path.rglob("refs*.p")
    good = file.read_bytes()

    @budget(1)
    @given(
        st.one_of(
            like(refcoco.REFERS).map(plain),
            any_bytes(good, *(pickle.dumps(refcoco.REFERS, protocol=n) for n in range(6))),
        )
    )
    def property_(data):
        with tried("pickle of plain values"):
            load_plain(data, where="x")
        file.write_bytes(data)
        with tried("annotations: refcoco, references"):
            read_all("refcoco", tmp_path / "refcoco", "val")

    property_()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_tables_of_captions(tmp_path, suffix):
    captioned(tmp_path)
    rows = [{"file_name": "a.png", "caption": "a chair"}, {"file_name": "a.png", "caption": 'été, "a" chair'}]
    good = (
        "\n".join(map(json.dumps, rows))
        if suffix == "jsonl"
        else 'file_name,caption\na.png,a chair\na.png,"a ""b"" chair"\n'
    )
    file = tmp_path / f"list.{suffix}"

    @budget(1)
    @given(any_bytes(good.encode()))
    def property_(data):
        file.write_bytes(data)
        with tried(f"captions: {suffix}"):
            source = create(
                "captioned", {"split": "train", "annotations": str(file), "images": str(tmp_path / "train2017")}
            )
            for place in range(min(len(source), 2)):
                with tried(f"captions: {suffix}, a sample"):
                    source.sample(place)

    property_()


LISTS = {
    "coco-stuff": label_sets.stuff, "ade20k": label_sets.ade, "voc": label_sets.voc, "pc59": large_label_sets.context,
    "ade847": large_label_sets.ade_prepared,
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_classes_and_names(tmp_path, name):
    LISTS[name](tmp_path)
    split = "validation" if name.startswith("ade") else "val"
    files = [file for file in sorted([*tmp_path.rglob("*.txt"), *tmp_path.rglob("*.py")]) if file.stat().st_size]
    if not files:
        (tmp_path / "labels.txt").write_text("0: unlabeled\n" + "\n".join(f"{n + 1}: thing{n}" for n in range(4)))
        files = [tmp_path / "labels.txt"]
    good = {file: file.read_bytes() for file in files}

    @budget(0.15 if name == "pc59" else 1)  # a process for each of its label maps
    @given(st.sampled_from(files), st.integers(0, 2**48), st.one_of(st.none(), st.binary(max_size=200)))
    def property_(file, seed, data):
        file.write_bytes(changed(good[file], seed) if data is None else data)
        with tried(f"lists: {name}"):
            read_all(name, tmp_path, split)
        file.write_bytes(good[file])

    property_()


def labelme(root):
    (root / "val").mkdir(parents=True)
    shape = keypoint_formats.shape
    shapes = [shape("cat", [[2, 2], [40, 50]], "rectangle", 1), shape("nose", [[10, 12]], group=1)]
    keypoint_formats.labelme(root / "val", shapes)


def tars(root):
    containers.write_tar(root / "00000.tar", containers.members("000000000", 0) + containers.members("000000001", 1))


def mpii_mat(root):
    keypoints.save_picture(root / "images" / "1.jpg", 80, 60)
    told = keypoint_formats.release([("1.jpg", keypoint_formats.person(16, hidden=[2]))], [1])
    keypoint_formats.savemat(root / "mpii_human_pose_v1_u12_1.mat", told)


def sidd_mat(root):
    blocks = np.random.default_rng(0).integers(0, 255, (1, 2, 8, 8, 3), dtype=np.uint8)
    for name in ("ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb"):
        containers.savemat(root / f"{name}.mat", {name: blocks})


CONTAINERS = {
    "yolo-pose": (keypoint_formats.yolo, "val", ("*.yaml", "*.txt")),
    "labelme": (labelme, "val", ("*.json",)),
    "webdataset": (tars, "train", ("*.tar",)),
    "mpii": (mpii_mat, "train", ("*.mat",)),
    "sidd": (sidd_mat, "val", ("*.mat",)),
    "pc459": (large_label_sets.context, "val", ("*.mat",)),
    "ade847": (large_label_sets.ade_prepared, "val", ("*.tif",)),
    "cityscapes": (object_sets.cityscapes, "val", ("*Ids.png",)),
    "magicbrush": (containers.magicbrush_table, "dev", ("*.parquet",)),
    "nyuv2": (map_sets.nyu_labeled, "test", ("nyu_*.mat",)),
    "bsds": (map_sets.bsds, "test", ("3063.mat",)),
    "diode": (map_sets.diode, "val", ("*.npy",)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_files_that_hold_others(name, tmp_path):
    write, split, patterns = CONTAINERS[name]
    root = tmp_path / "raw"
    if name != "magicbrush":
        root.mkdir()
    write(root)
    files = sorted(file for pattern in patterns for file in root.rglob(pattern))
    good = {file: file.read_bytes() for file in files}
    read_all(name, root, split)

    @budget(0.15 if "*.mat" in patterns else 1)  # a process each
    @given(st.sampled_from(files), SEEDS, st.one_of(st.none(), st.none(), st.binary(max_size=200)))
    def property_(file, seed, data):
        file.write_bytes(changed(good[file], seed) if data is None else data)
        with tried(f"files of {name}: {', '.join(patterns)}"):
            read_all(name, root, split)
        file.write_bytes(good[file])

    property_()


def test_values_are_changed_in_place():
    """The helper changes copies, and it does change them."""
    good = {"a": [1, {"b": 2}], "c": "d"}
    made = [altered(good, seed, [None]) for seed in range(60)]
    assert good == {"a": [1, {"b": 2}], "c": "d"} and sum(value != good for value in made) > 30
