"""CrowdPose, MPII, AI Challenger, AP-10K and Human-Art: folders as their authors publish them, and real ones."""

import json
import pickle

import contract
import numpy as np
import pytest
from set_making import build, save_picture, trains_and_keeps_promises

from idiff.data.sources import create
from idiff.data.sources.coco_family import AIC_JOINTS
from idiff.data.sources.mpii import JOINTS
from idiff.errors import DataError
from idiff.tasks import KeypointDetection

CROWDPOSE = "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip left_knee"
CROWDPOSE += " right_knee left_ankle right_ankle head neck"
AP10K = "left_eye right_eye nose neck root_of_tail left_shoulder left_elbow left_front_paw right_shoulder right_elbow"
AP10K += " right_front_paw left_hip left_knee left_back_paw right_hip right_knee right_back_paw"
COCO = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
COCO += " right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
WIDTH, HEIGHT = 120, 140


def pose(count, seed=0, hidden=()):
    """Joints far from one another, inside of BOX: x, y, v one after the other."""
    places = [(14 + 20 * (place % 5), 16 + 28 * (place // 5)) for place in range(count)]
    points = [[x + seed, y, 1 if place in hidden else 2] for place, (x, y) in enumerate(places)]
    return [number for point in points for number in point]


BOX = [4, 6, 108, 128]


def write(file, value):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(value))


def coco_like(joints, names, *, people=(1, 1), category="person", extra_categories=(), **fields):
    """COCO's form: an image for each number of people."""
    count = len(joints.split())
    images = [{"id": n + 7, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
    annotations = [
        {"id": 10 * n + m, "image_id": n + 7, "category_id": 1, "iscrowd": 0, "num_keypoints": count,
         "keypoints": pose(count, m), "bbox": BOX} | fields
        for n, number in enumerate(people) for m in range(number)
    ]  # fmt: skip
    categories = [
        {"id": 1, "name": category, "supercategory": category, "keypoints": joints.split()},
        *extra_categories,
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


def crowdpose(root):
    for name in ("100.jpg", "101.jpg"):
        save_picture(root / "images" / name, WIDTH, HEIGHT)
    write(root / "json/crowdpose_val.json", coco_like(CROWDPOSE, ["100.jpg", "101.jpg"], people=(2, 1)))
    return {"items": 3, "joints": CROWDPOSE, "sigma": ("head", 0.079)}


def ap10k(root):
    for name in ("000000000004.jpg", "000000000005.jpg"):
        save_picture(root / "data" / name, WIDTH, HEIGHT)
    cat = {"id": 2, "name": "cat", "supercategory": "Felidae", "keypoints": AP10K.split()}
    value = coco_like(
        AP10K, ["000000000004.jpg", "000000000005.jpg"], category="antelope", area=4000, extra_categories=[cat]
    )
    value["annotations"][1]["category_id"] = 2
    write(root / "annotations/ap10k-val-split1.json", value)
    return {"items": 2, "joints": AP10K, "sigma": ("root of tail", 0.035), "category": "antelope"}


def humanart(root):
    names = ["cartoon/000000000001.jpg", "sculpture/000000000002.jpg"]
    for name in names:
        save_picture(root / "images/2D_virtual_human" / name, WIDTH, HEIGHT)
    files = [f"HumanArt/images/2D_virtual_human/{name}" for name in names]
    value = coco_like(COCO, files, area=5000)
    value["categories"][0]["keypoints"] += ["left_finger", "right_finger", "left_toe", "right_toe"]
    for entry in value["annotations"]:
        entry["keypoints_21"] = entry["keypoints"] + [0] * 12
    write(root / "annotations/validation_humanart.json", value)
    return {"items": 2, "joints": COCO, "sigma": ("left hip", 0.107)}


def aic(root, hidden=()):
    folder = root / "ai_challenger_keypoint_validation_20170911"
    entries = []
    for name in ("aa11", "bb22"):
        save_picture(folder / f"keypoint_validation_images_20170911/{name}.jpg", WIDTH, HEIGHT)
        points = pose(14, hidden=hidden)
        points[2::3] = [{2: 1, 1: 2, 0: 3}[v] for v in points[2::3]]
        humans = {"human1": [*BOX[:2], BOX[0] + BOX[2], BOX[1] + BOX[3]]}
        entries.append({"image_id": name, "human_annotations": humans, "keypoint_annotations": {"human1": points}})
    write(folder / "keypoint_validation_annotations_20170911.json", entries)
    return {"items": 2, "joints": " ".join(AIC_JOINTS).replace("right ", "right_"), "sigma": ("neck", 0.05)}


def mpii(root):
    entries = []
    for name, people in (("005808361.jpg", 2), ("060754485.jpg", 1)):
        save_picture(root / "images" / name, WIDTH, HEIGHT)
        for person in range(people):
            points = pose(16, person)
            joints = [[x + 1.0, y + 1.0] for x, y in zip(points[::3], points[1::3], strict=True)]
            entries.append(
                {"image": name, "joints": joints, "joints_vis": [1] * 16, "center": [59.0, 63.5], "scale": 0.64}
            )
    write(root / "annot/valid.json", entries)
    return {"items": 3, "joints": " ".join(JOINTS), "sigma": ("pelvis", 0.05)}


SETS = {"crowdpose": crowdpose, "ap10k": ap10k, "humanart": humanart, "aic": aic, "mpii": mpii}


@pytest.mark.parametrize("name", SETS)
def test_a_set_as_published_trains(tmp_path, name, capsys):
    facts = SETS[name](tmp_path / "raw")
    shards = build(name, tmp_path / "raw", tmp_path / "out")
    assert shards.count("instances") == facts["items"]
    skeleton = shards.meta["skeletons"][facts.get("category", "person")]
    assert not any("_" in joint for joint in skeleton["joints"])
    joint, sigma = facts["sigma"]
    assert skeleton["sigmas"][skeleton["joints"].index(joint)] == sigma
    lefts = [joint for joint in skeleton["joints"] if joint.startswith("left ")]
    pairs = [[skeleton["joints"][place] for place in pair] for pair in skeleton["pairs"]]
    assert sorted(left for left, _ in pairs) == sorted(lefts) and lefts
    assert all(right == left.replace("left", "right") for left, right in pairs)
    first = shards.read(0).annotation["instances"][0]
    assert np.array_equal(np.ravel(first["keypoints"]), pose(len(skeleton["joints"])))
    assert first.get("area_from_box", False) == (name not in {"ap10k", "humanart"})
    trains_and_keeps_promises(KeypointDetection(size=96, augment=[]), shards)


def test_crowdpose_areas_are_half_of_the_box(tmp_path):
    crowdpose(tmp_path)
    instance = create("crowdpose", {"root": str(tmp_path), "split": "val"}).sample(0).annotation["instances"][0]
    assert instance["area"] == pytest.approx(0.53 * BOX[2] * BOX[3])


def test_mpii_counts_from_one_and_its_box_is_a_square(tmp_path):
    mpii(tmp_path)
    source = create("mpii", {"root": str(tmp_path), "split": "val"})
    assert [len(source.sample(place).annotation["instances"]) for place in range(len(source))] == [2, 1]
    x, y, width, height = source.sample(0).annotation["instances"][0]["box"]
    assert width == height == pytest.approx(200 * 0.64)
    # The centre as a point whose pixel centres are whole numbers, from 0.
    assert (x + width / 2 - 0.5, y + height / 2 - 0.5) == pytest.approx((59 - 1, 63.5 - 1 + 15 * 0.64))


def test_mpii_joints_without_a_flag_and_people_without_a_place_are_left_out(tmp_path):
    mpii(tmp_path)
    file = tmp_path / "annot/valid.json"
    entries = json.loads(file.read_text())
    entries[0]["joints_vis"][3] = 0
    entries[1]["center"] = [-1, -1]
    write(file, entries)
    source = create("mpii", {"root": str(tmp_path), "split": "val"})
    (instance,) = source.sample(0).annotation["instances"]
    assert instance["keypoints"][3] == [0, 0, 0] and instance["num_keypoints"] == 15
    assert "1 without a box" in str(source.funnel())


def test_aic_hidden_and_unlabelled_change_places(tmp_path):
    aic(tmp_path, hidden=(0,))
    file = next(tmp_path.glob("*/*.json"))
    entries = json.loads(file.read_text())
    entries[0]["keypoint_annotations"]["human1"][3:6] = [0, 0, 3]
    write(file, entries)
    source = create("aic", {"root": str(tmp_path), "split": "val"})
    assert [point[2] for point in source.sample(0).annotation["instances"][0]["keypoints"]][:3] == [1, 0, 2]
    pickle.loads(pickle.dumps(source)).sample(0)


def test_humanart_takes_seventeen_joints(tmp_path):
    humanart(tmp_path)
    source = create("humanart", {"root": str(tmp_path), "split": "val"})
    assert source.meta()["skeletons"]["person"]["joints"][-1] == "right ankle"
    assert source.sample(0).annotation["file_name"] == "2D_virtual_human/cartoon/000000000001.jpg"


def test_other_splits_of_ap10k(tmp_path):
    ap10k(tmp_path)
    file = tmp_path / "annotations/ap10k-val-split1.json"
    file.rename(file.with_name("ap10k-val-split3.json"))
    assert len(create("ap10k", {"root": str(tmp_path), "split": "val-split3"})) == 2
    with pytest.raises(DataError, match=r"ap10k-val\.json is missing: .*or in annotations/ap10k-val-split1\.json"):
        create("ap10k", {"root": str(tmp_path), "split": "val"})


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("mpii", lambda value: {"images": []}, "no MPII file: expected a list"),
        (
            "mpii",
            lambda value: [value[0] | {"joints": [[1, 2]]}],
            r"entries\[0\]: 'joints' is \[\[1, 2\]\], expected a list for 16",
        ),
        ("mpii", lambda value: [{"image": "a.jpg"}], r"entries\[0\]: 'center' is None, expected x and y"),
        ("mpii", lambda value: [{**one, "joints": [], "joints_vis": []} for one in value], "labels no joint"),
        (
            "aic",
            lambda value: [value[0] | {"keypoint_annotations": {"human1": [1, 2, 3]}}],
            "human1' is .* expected x, y, v of 14 joints",
        ),
        ("aic", lambda value: "x", "expected an object with images"),
        ("crowdpose", lambda value: [], "no CrowdPose file: expected an object"),
    ],
)
def test_wrong_files_are_one_sentence(tmp_path, name, change, reason):
    SETS[name](tmp_path)
    file = next(path for path in tmp_path.rglob("*.json"))
    write(file, change(json.loads(file.read_text())))
    with pytest.raises(DataError, match=reason):
        create(name, {"root": str(tmp_path), "split": "val"})


@pytest.mark.parametrize("name", SETS)
def test_missing_pictures_and_files_say_where_they_should_be(tmp_path, name):
    with pytest.raises(DataError, match=r"is missing: expected .* annotations, there or in .* give --annotations FILE"):
        create(name, {"root": str(tmp_path), "split": "val"})
    SETS[name](tmp_path)
    (tmp_path / "aside.json").write_bytes(next(tmp_path.rglob("*.json")).read_bytes())
    with pytest.raises(DataError, match=r"is missing: expected the images.* Give --images DIR"):
        create(name, {"root": str(tmp_path / "none"), "split": "val", "annotations": str(tmp_path / "aside.json")})


def test_a_wrong_folder_of_pictures_is_one_sentence(tmp_path):
    crowdpose(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(
        DataError, match=r"photos/100\.jpg is missing: .* crowdpose_val\.json names; the first 2 are not there"
    ):
        create("crowdpose", {"root": str(tmp_path), "split": "val", "images": str(tmp_path / "photos")})


FORMATS = {"coco-keypoints": ("coco", "ochuman"), **{name: (name,) for name in SETS}}


@pytest.mark.parametrize(("source", "folder"), [(s, f) for s, folders in FORMATS.items() for f in folders])
def test_real_fixtures(tmp_path, real_data, source, folder):
    root = real_data / "formats" / folder
    if not root.is_dir():
        pytest.skip(f"no {root}")
    options = ["--annotations", root / f"test_{folder}.json", "--images", root]
    shards = build(source, root, tmp_path / "out", *options)
    assert not (tmp_path / "out/rejected.jsonl").exists()
    promises = [
        contract.same_rng_same_triplet,
        contract.queries_show_what_encode_shows,
        contract.render_draws_the_answer,
    ]
    trains_and_keeps_promises(KeypointDetection(size=96), shards, promises=promises)
