"""Raw data sets in COCO's and COCO-Stuff's formats, made here and, where they are there, real ones."""

import json
import pickle

import numpy as np
import pytest
from shard_making import file_bytes, picture
from small_models import ROOT

from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.data.sources import SOURCES, create
from idiff.data.sources.coco_keypoints import CocoKeypoints
from idiff.data.sources.coco_stuff import CocoStuff, read_labels
from idiff.data.sources.joint_names import mirror_pairs, skeleton
from idiff.data.sources.label_maps import read_fold
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.picture_files import decode_label, encode_png

DATA = ROOT / "../shared/data"


def real(name):
    return pytest.param(name, marks=pytest.mark.skipif(not (DATA / name).is_dir(), reason=f"no {name} in shared/data"))


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("coco-stuf", {}, "unknown source 'coco-stuf'; did you mean 'coco-stuff'"),
        ("coco-stuff", {"split": "val"}, "needs --root"),
        (
            "coco-stuff",
            {"root": "x", "split": "val", "seed": 1},
            "takes no --seed. It takes --root, --split, --fold, --annotations, --images",
        ),
        ("synthetic", {"split": "val", "seed": 3}, "needs --task and --count"),
    ],
)
def test_wrong_options_are_named(name, options, reason):
    with pytest.raises(ConfigError, match=reason):
        create(name, options)


def test_every_source_has_a_layout():
    assert all(entry.layout and ":" in entry.target for entry in SOURCES.values())


def test_every_source_is_in_the_docs():
    page = (ROOT / "docs/data.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(SOURCES) <= {name.strip(" `") for row in rows for name in row.split(",")}


# --- COCO key points ---


def annotation(number, image=1, points=(3, 2, 2, 5, 4, 1), **fields):
    facts = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "keypoints": list(points),
        "bbox": [1, 1, 4, 5],
        "area": 9,
    }
    return facts | fields


def coco(root, annotations, *, images=((1, "a.jpg"),), joints=("left_eye", "right_eye"), write=True, **category):
    folder = root / "images/val2017"
    folder.mkdir(parents=True)
    (root / "annotations").mkdir()
    entries = []
    for number, name in images:
        if write:
            (folder / name).write_bytes(file_bytes(picture(number), "JPEG"))
        entries.append({"id": number, "file_name": name, "width": 9, "height": 6})
    categories = [{"id": 1, "name": "face", "keypoints": list(joints)} | category]
    value = {"images": entries, "annotations": annotations, "categories": categories}
    (root / "annotations/person_keypoints_val2017.json").write_text(json.dumps(value))
    return root


def test_coco_annotations_become_facts(tmp_path):
    source = CocoKeypoints(str(coco(tmp_path, [annotation(7), annotation(8, area=0)])), "val")
    sample = source.sample(0)
    assert sample.key == "000000000001"
    assert sample.image == (tmp_path / "images/val2017/a.jpg").read_bytes()
    first, second = sample.annotation["instances"]
    assert first == {
        "category": "face", "keypoints": [[3, 2, 2], [5, 4, 1]], "box": [1, 1, 4, 5], "area": 9, "id": 7,
        "num_keypoints": 2, "category_id": 1,
    }  # fmt: skip
    assert second["area"] == pytest.approx(4 * 5 * 0.53)
    assert second["area_from_box"] is True
    assert sample.annotation["image_id"] == 1
    expected = {"joints": ["left eye", "right eye"], "pairs": [[0, 1]], "sigmas": [0.05, 0.05]}
    assert source.meta() == {"skeletons": {"face": expected}}
    pickle.loads(pickle.dumps(source)).sample(0)


def test_what_is_left_out_is_counted(tmp_path):
    annotations = [
        annotation(1),
        annotation(2, iscrowd=1),
        annotation(3, points=[0] * 6),
        annotation(4, bbox=[]),
        annotation(5, image=2, points=[0] * 6),
        annotation(6, image=2, category_id=9, points=[]),
    ]
    source = CocoKeypoints(str(coco(tmp_path, annotations, images=[(1, "a.jpg"), (2, "b.jpg")])), "val")
    assert len(source) == 1
    assert [entry["id"] for entry in source.sample(0).annotation["instances"]] == [1]
    reasons = "1 crowds, 1 without a box, 3 without labelled joints"
    assert source.funnel() == {"found": 2, f"with labelled joints (instances left out: {reasons})": 1}


def test_pictures_that_cannot_be_used_are_named_in_the_build(tmp_path):
    images = [(number, f"{number}.jpg") for number in range(1, 6)]
    root = coco(tmp_path / "raw", [annotation(n, image=n) for n in range(1, 6)], images=images)
    folder = root / "images/val2017"
    (folder / "2.jpg").unlink()
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:-30])
    (folder / "4.jpg").write_bytes(file_bytes(picture(4, 9, 6), "JPEG"))
    report = build(
        create("coco-keypoints", {"root": str(root), "split": "val"}), tmp_path / "out", name="c", split="val"
    )
    assert report.manifest.funnel == {"found": 5, "with labelled joints": 5, "usable": 2}
    lines = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text().splitlines()]
    reasons = {line["where"]: line["reason"] for line in lines}
    assert "No such file" in reasons["2.jpg"]
    assert "cannot be decoded" in reasons["000000000003"]  # its header is whole: the build decodes it
    assert reasons["4.jpg"].startswith("6x9 pixels, expected 9x6 as annotated: width and height are swapped")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"annotations": [annotation(1, image=5)]}, "names the image 5, which is not in 'images'"),
        ({"annotations": [annotation(1, points=[1, 2])]}, "annotation 1: 2 numbers .* are no x, y, v"),
        ({"annotations": [annotation(1, points=[1, 2, 2])]}, "has 1 joints, its category 'face' 2"),
        ({"images": [(1, "../a.jpg")], "write": False}, "leads out of the folder"),
        ({"images": [(1, "a.jpg"), (1, "b.jpg")]}, "two images have the id 1"),
        ({"flip_pairs": [[0, 2]]}, "are not pairs of the 2 joints"),
        ({"joints": ("eye", "Eye")}, "empty or not distinct"),
        ({"joints": ()}, "no category has 'keypoints'"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path, change, reason):
    arguments = {"annotations": [annotation(1)]} | change
    with pytest.raises(DataError, match=reason):
        CocoKeypoints(str(coco(tmp_path, arguments.pop("annotations"), **arguments)), "val")


def test_missing_and_ambiguous_places_are_named(tmp_path):
    with pytest.raises(DataError, match="give --annotations"):
        CocoKeypoints(str(tmp_path), "val")
    coco(tmp_path, [annotation(1)])
    file = tmp_path / "annotations/person_keypoints_val2017.json"
    (tmp_path / "annotations/person_keypoints_val2014.json").write_bytes(file.read_bytes())
    with pytest.raises(DataError, match=r"several files for split 'val': .*val2014.*val2017"):
        CocoKeypoints(str(tmp_path), "val")
    assert len(CocoKeypoints(str(tmp_path), "val2017")) == 1
    moved = tmp_path / "elsewhere"
    (tmp_path / "images/val2017").rename(moved)
    with pytest.raises(DataError, match="Give --images DIR"):
        CocoKeypoints(str(tmp_path), "val2017")
    assert len(CocoKeypoints(str(tmp_path), "val2017", images=str(moved))) == 1
    with pytest.raises(DataError, match="nothere is missing"):
        CocoKeypoints(str(tmp_path), "val", annotations=str(file), images=str(tmp_path / "nothere"))
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        CocoKeypoints(str(tmp_path), "val", annotations=str(tmp_path / "bad.json"), images=str(moved))


def test_mirror_pairs_by_name():
    assert mirror_pairs(["nose", "right eye", "left eye", "left ear"]) == [[2, 1]]
    assert skeleton(["Left_Eye", "right-eye"])["pairs"] == [[0, 1]]
    assert skeleton(["a", "b", "c"], [[2, 0]])["pairs"] == [[2, 0]]


def test_official_coco_joints_get_official_sigmas():
    from pycocotools.cocoeval import Params

    names = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
    names += " right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    made = skeleton(names.split())
    assert made["sigmas"] == pytest.approx(Params(iouType="keypoints").kpt_oks_sigmas.tolist())
    assert made["pairs"] == [[place, place + 1] for place in range(1, 17, 2)]


# --- COCO-Stuff ---


def stuff(root, labels="0: background\n1: cat\n2: dog\n", maps=(((0, 1), (2, 255)),)):
    for kind in ("images", "annotations"):
        (root / kind / "val").mkdir(parents=True)
    (root / "labels.txt").write_text(labels)
    for place, values in enumerate(maps):
        array = np.array(values, np.uint8)
        (root / f"annotations/val/{place:03d}.png").write_bytes(encode_png(array))
        (root / f"images/val/{place:03d}.jpg").write_bytes(file_bytes(picture(place, *array.shape), "JPEG"))
    return root


def labels_of(source, index=0):
    sample = source.sample(index)
    return decode_label(sample.label, where="x") if isinstance(sample.label, bytes) else sample.label


def test_label_files_pass_through_where_nothing_changes(tmp_path):
    source = CocoStuff(str(stuff(tmp_path)), "val")
    assert source.meta() == {"classes": ["background", "cat", "dog"]}
    assert source.sample(0).label == (tmp_path / "annotations/val/000.png").read_bytes()
    assert source.sample(0).key == "000"


def test_an_own_list_with_unlabeled_is_not_shifted(tmp_path):
    root = str(stuff(tmp_path, labels="0: unlabeled\n1: person\n2: bicycle\n3: car\n"))
    source = CocoStuff(root, "val")
    assert source.meta() == {"classes": ["person", "bicycle", "car"], "values": [1, 2, 3]}
    assert labels_of(source).tolist() == [[255, 0], [1, 255]]
    with pytest.raises(DataError, match="expected at least one"):
        CocoStuff(root, "val", label_offset=9)


def test_gaps_are_closed(tmp_path):
    source = CocoStuff(str(stuff(tmp_path, labels="2: dog\n0: background\n7: cat\n", maps=[[[0, 2], [7, 255]]])), "val")
    assert source.meta() == {"classes": ["background", "dog", "cat"], "values": [0, 2, 7]}
    assert labels_of(source).tolist() == [[0, 1], [2, 255]]


def test_folding_puts_background_first_and_the_rest_to_void(tmp_path):
    root = stuff(tmp_path, labels="0: background\n1: cat\n2: dog\n3: car\n", maps=[[[0, 1, 2], [3, 255, 1]]])
    (tmp_path / "fold.txt").write_text("# pets\npet: cat, dog\n\nbackground: background\n")
    source = CocoStuff(str(root), "val", fold=str(tmp_path / "fold.txt"))
    assert source.meta() == {"classes": ["background", "pet"]}
    assert labels_of(source).tolist() == [[0, 1, 1], [255, 255, 1]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pet: cat, dgo", "names the label 'dgo', which the set lacks; did you mean 'dog'"),
        ("pet: cat\nanimal: cat, dog", "has the label 'cat' a second time"),
        ("pet: cat, cat", "has the label 'cat' a second time"),
        ("pet: cat\npet: dog", "comes a second time"),
        ("pet:", "has no label"),
        ("pet cat", "'pet cat', expected a line"),
        ("", "empty, expected a line"),
    ],
)
def test_wrong_fold_files_are_one_sentence(tmp_path, text, reason):
    (tmp_path / "fold.txt").write_text(text)
    with pytest.raises(DataError, match=reason):
        read_fold(tmp_path / "fold.txt", {1: "cat", 2: "dog"})


@pytest.mark.parametrize("text", ["x: cat", "1: cat\n1: dog", "1: cat\n2: cat", "1:", "255: cat"])
def test_wrong_label_lists_are_one_sentence(tmp_path, text):
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=r"labels\.txt: "):
        read_labels(tmp_path / "labels.txt")


def test_with_an_offset_ids_reach_255(tmp_path):
    (tmp_path / "labels.txt").write_text("255: last\n")
    assert read_labels(tmp_path / "labels.txt", offset=1) == {254: "last"}


def test_odd_files_are_bad_samples(tmp_path):
    root = stuff(tmp_path, maps=[[[0, 9]], [[0, 1]], [[0, 1]], [[0, 1]]])
    (root / "annotations/val/001.png").unlink()
    (root / "images/val/002.jpg").unlink()
    (root / "images/val/003.jpg").write_bytes(file_bytes(picture(0), "JPEG"))
    source = CocoStuff(str(root), "val")
    assert len(source) == 4
    for place, reason in enumerate(
        [r"label: values \[9\] have no name", "label: .*No such file", "source: .*No such file"]
    ):
        with pytest.raises(BadSampleError, match=reason):
            source.sample(place)
    with pytest.raises(DataError, match="none of the 4 samples"):
        build(source, tmp_path / "out", name="stuff", split="val")
    assert "label" in (tmp_path / "out/rejected.jsonl").read_text()
    assert "2x1 pixels, expected 9x6 as the image has" in (tmp_path / "out/rejected.jsonl").read_text()


def test_missing_folders_are_named(tmp_path):
    stuff(tmp_path)
    with pytest.raises(DataError, match=r"images/train is missing"):
        CocoStuff(str(tmp_path), "train")
    (tmp_path / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"labels\.txt is missing: expected a line"):
        CocoStuff(str(tmp_path), "val")


# --- real folders ---


@pytest.mark.parametrize("name", [real("faces"), real("lsp"), real("fashion_pose")])
def test_real_key_points(tmp_path, name):
    source = create("coco-keypoints", {"root": str(DATA / name), "split": "val"})
    report = build(source, tmp_path, name="coco-keypoints", split="val", limit=30)
    assert report.rejected == 0
    shards = ShardSet.open(tmp_path, verify=True)
    truth = json.loads((DATA / name / "annotations/person_keypoints_val.json").read_text())
    entry = {entry["image_id"]: entry for entry in truth["annotations"]}[shards.read(17).annotation["image_id"]]
    instance = shards.read(17).annotation["instances"][0]
    assert [value for point in instance["keypoints"] for value in point] == entry["keypoints"]
    assert instance["box"] == entry["bbox"]
    pairs = next(iter(shards.meta["skeletons"].values()))["pairs"]
    assert pairs == truth["categories"][0]["flip_pairs"]


@pytest.mark.parametrize(("name", "count", "classes"), [("clothing", 130, 14), ("camvid", 101, 11), ("people", 30, 2)])
def test_real_label_maps(tmp_path, name, count, classes):
    if not (DATA / name).is_dir():
        pytest.skip(f"no {name} in shared/data")
    fold = DATA / name / "fold.txt"
    options = {"root": str(DATA / name), "split": "val"} | ({"fold": str(fold)} if fold.exists() else {})
    source = create("coco-stuff", options)
    assert len(source) == count
    assert build(source, tmp_path, name="coco-stuff", split="val", limit=30).rejected == 0
    shards = ShardSet.open(tmp_path)
    assert len(shards.meta["classes"]) == classes
    values = {int(value) for place in range(len(shards)) for value in np.unique(shards.read(place).label)}
    assert values <= {*range(classes), 255}
    assert len(values) > classes / 2
