"""Key points as people's tools write them: YOLO's pose format, labelme, and MPII's own MATLAB file."""

import json

import numpy as np
import pytest
from scipy.io import savemat
from set_making import build, save_picture

from idiff.data.sources import create
from idiff.errors import DataError

YAML = "path: .\ntrain: images/train\nval: images/val\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\nnames:\n  0: cat\n"
LINE = "0 0.5 0.5 0.5 0.25 0.25 0.5 2 0.5 0.25 1 0 0 0\n"


def yolo(root, yaml=YAML, lines=LINE, names=("a", "b")):
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(yaml)
    for name in names:
        save_picture(root / f"images/val/{name}.jpg", 80, 40)
        (root / f"labels/val/{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (root / f"labels/val/{name}.txt").write_text(lines)
    return root


def test_yolo_shares_become_pixels_and_sides_are_those_of_flip_idx(tmp_path):
    shards = build("yolo-pose", yolo(tmp_path / "raw"), tmp_path / "out")
    assert len(shards) == 2 and shards.key(0) == "a"
    (instance,) = shards.read(0).annotation["instances"]
    assert instance["keypoints"] == [[20, 20, 2], [40, 10, 1], [0, 0, 0]]
    assert instance["box"] == [20, 15, 40, 10] and instance["area"] == pytest.approx(0.53 * 400)
    assert instance["category"] == "cat" and instance["category_id"] == 0
    assert shards.meta["skeletons"]["cat"]["pairs"] == [[1, 2]]


def test_yolo_names_of_joints(tmp_path, capsys):
    source = create("yolo-pose", {"root": str(yolo(tmp_path / "a")), "split": "val"})
    assert source.meta()["skeletons"]["cat"]["joints"] == ["joint 0", "joint 1", "joint 2"]
    assert any("does not name the joints (kpt_names)" in note for note in source.notes())
    own = YAML + "kpt_names:\n  0: [nose, left_eye, right_eye]\n"
    source = create("yolo-pose", {"root": str(yolo(tmp_path / "b", own)), "split": "val"})
    assert source.meta()["skeletons"]["cat"]["joints"] == ["nose", "left eye", "right eye"]
    coco = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    yaml = f"val: images/val\nkpt_shape: [17, 2]\nflip_idx: {coco}\nnames: [person]\n"
    line = "0 0.5 0.5 0.5 0.5 " + "0.25 0.25 " * 16 + "0 0\n"
    source = create("yolo-pose", {"root": str(yolo(tmp_path / "c", yaml, line)), "split": "val"})
    assert source.meta()["skeletons"]["person"]["joints"][5:7] == ["left shoulder", "right shoulder"]
    points = source.sample(0).annotation["instances"][0]["keypoints"]
    assert points[0] == [20, 10, 2] and points[16][2] == 0


def test_a_wrong_line_is_left_out_by_name(tmp_path):
    lines = f"{LINE}0 0.5 0.5\n{LINE.replace(' 1 0', ' 0.9 0')}0 40 20 40 10 20 20 2 40 10 1 0 0 0\n{LINE.replace('0.25', 'x')}"
    source = create("yolo-pose", {"root": str(yolo(tmp_path, lines=lines, names=["a"])), "split": "val"})
    assert len(source.sample(0).annotation["instances"]) == 1
    (note,) = (note for note in source.notes() if "wrong form" in note)
    assert "a.txt[1]: 3 values, expected 5 and 3 for each of 3 joints" in note
    assert "is in pixels, expected shares" in note and "(and 1 more)" in note


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("names: [cat]\n", "kpt_shape is None, expected"),
        (YAML.replace("[0, 2, 1]", "[0, 1]"), r"flip_idx is \[0, 1\], expected the numbers 0 to 2"),
        (YAML.replace("names:\n  0: cat\n", ""), "names is None"),
        ("[1", "cannot be read as YAML"),
        (YAML + "kpt_names: [nose]\n", "kpt_names has 1 names for 'cat', and kpt_shape 3 joints"),
        (YAML.replace("images/val", "pictures/val"), None),
    ],
)
def test_wrong_yaml_is_one_sentence(tmp_path, yaml, reason):
    options = {"root": str(yolo(tmp_path, yaml)), "split": "val"}
    if reason is None:  # the usual folder is found
        assert len(create("yolo-pose", options)) == 2
        return
    with pytest.raises(DataError, match=reason):
        create("yolo-pose", options)


def shape(label, points, kind="point", group=None, **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": group, "flags": {}} | more


def labelme(root, shapes, name="a", **facts):
    save_picture(root / f"{name}.jpg", 80, 60)
    value = {"version": "5.4", "imagePath": f"{name}.jpg", "imageData": None, "imageHeight": 60, "imageWidth": 80}
    (root / f"{name}.json").write_text(json.dumps(value | {"shapes": shapes} | facts))


def test_labelme_groups_points_by_id_and_by_box(tmp_path):
    raw = tmp_path / "raw/val"
    labelme(raw, [
        shape("cat", [[2, 2], [40, 50]], "rectangle", 1), shape("nose", [[10, 12]], group=1),
        shape("tail", [[20, 22]], group=1, flags={"occluded": True}), shape("dog", [[50, 5], [78, 50]], "rectangle"),
        shape("nose", [[60, 20]]), shape("way", [[1, 1], [2, 2]], "line"),
    ])  # fmt: skip
    labelme(raw, [shape("nose", [[30, 30]], group=2)], name="b")
    shards = build("labelme", tmp_path / "raw", tmp_path / "out")
    cat, dog = shards.read(0).annotation["instances"]
    assert (cat["category"], cat["box"], cat["keypoints"]) == ("cat", [2, 2, 38, 48], [[10, 12, 2], [20, 22, 1]])
    assert (dog["category"], dog["keypoints"]) == ("dog", [[60, 20, 2]])
    (alone,) = shards.read(1).annotation["instances"]
    assert alone["category"] == "object" and alone["box_from_joints"]
    source = create("labelme", {"root": str(tmp_path / "raw"), "split": "val", "category": "fly"})
    told = " ".join(source.notes())
    assert "rectangle or polygon: 1; their category is 'fly'" in told and "shapes that are not read: 1 line" in told


def test_labelme_leaves_out_what_is_wrong_by_name(tmp_path):
    labelme(
        tmp_path,
        [shape("nose", [[10, 12]]), shape("nose", [[11, 12]]), shape("eye", [["x", 2]]), shape(None, [[1, 2]])],
    )
    labelme(tmp_path, [shape("nose", [[10, 12]])], name="b", imagePath="..\\..\\c.jpg")
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "d.json").write_text('{"shapes": [], "imagePath": "../../etc/passwd"}')
    source = create("labelme", {"root": str(tmp_path), "split": "val"})
    assert len(source) == 2
    (note,) = (note for note in source.notes() if "wrong form" in note)
    assert "a.json[2]: 'points' is 'x', expected a number" in note and "a.json[3]: 'label' is None" in note
    assert "more)" in note
    with pytest.raises(DataError, match=r"no point is labelled in 1 JSON files: .* expected points"):
        (tmp_path / "other").mkdir()
        labelme(tmp_path / "other", [shape("way", [[1, 1], [2, 2]], "line")])
        create("labelme", {"root": str(tmp_path / "other"), "split": "val"})


def release(images, training):
    """MPII's structure, as MATLAB writes it."""
    annolist = np.zeros(len(images), dtype=[("image", object), ("annorect", object)])
    for place, (name, people) in enumerate(images):
        annolist[place] = ({"name": name}, people)
    return {"RELEASE": {"annolist": annolist, "img_train": np.array(training)}}


def person(count, hidden=()):
    points = np.zeros(count, dtype=[("x", object), ("y", object), ("id", object), ("is_visible", object)])
    for place in range(count):
        points[place] = (11.0 + place, 21.0 + place, place, 0 if place in hidden else 1)
    return {"annopoints": {"point": points}, "scale": 0.2, "objpos": {"x": 31, "y": 31}}


def test_mpii_in_its_own_file(tmp_path):
    for name in ("1.jpg", "2.jpg"):
        save_picture(tmp_path / "images" / name, 80, 60)
    images = [
        ("1.jpg", person(16, hidden=[2])),
        ("2.jpg", person(10)),
        ("3.jpg", {"objpos": {"x": 3, "y": 4}, "scale": 1}),
    ]
    savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", release(images, [1, 1, 0]))
    shards = build("mpii", tmp_path, tmp_path / "out", split="train")
    assert len(shards) == 2
    (instance,) = shards.read(0).annotation["instances"]
    assert instance["keypoints"][:3] == [[10, 20, 2], [11, 21, 2], [12, 22, 1]]
    assert instance["box"][2:] == [40, 40] and instance["box"][0] == pytest.approx(30 - 20 + 0.5)
    assert [point[2] for point in shards.read(1).annotation["instances"][0]["keypoints"]] == [2] * 10 + [0] * 6
    with pytest.raises(DataError, match="has the people of the split train, got 'val'"):
        create("mpii", {"root": str(tmp_path), "split": "val"})
    (tmp_path / "mpii_human_pose_v1_u12_1.mat").write_bytes(b"MATLAB 7.3 not")
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        create("mpii", {"root": str(tmp_path), "split": "train"})
