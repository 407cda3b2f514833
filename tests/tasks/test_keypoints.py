import copy
import math
import pickle

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError, ConfigError, IdiffError
from idiff.predictions import KeypointPrediction
from idiff.tasks import KeypointDetection
from idiff.tasks.saved import restore_task
from idiff.types import Sample
from idiff.utils.painting import disc_maps, palette
from idiff.utils.seeds import numpy_rng

NAMES = ["nose", "left_eye", "right_eye", "left_hand", "right_hand", "left_foot", "right_foot"]
SKELETON = {"joints": NAMES, "pairs": [[1, 2], [3, 4], [5, 6]], "sigmas": [0.05] * 7}


def sample(visibility=(2,) * 7):
    places = [(50, 20), (58, 15), (42, 15), (75, 60), (25, 60), (60, 115), (40, 115)]
    joints = [[float(x), float(y), v] for (x, y), v in zip(places, visibility, strict=True)]
    instance = {"category": "person", "keypoints": joints, "box": [20.0, 10.0, 60.0, 110.0], "area": 3300.0, "id": 4}
    image = np.random.default_rng(0).integers(100, 150, (130, 100, 3)).astype(np.uint8)
    return Sample("a", image, {"instances": [instance]}, meta={"skeletons": {"person": SKELETON}})


def plain(**kwargs):
    return KeypointDetection(**{"augment": [], **kwargs})


def draws(data, task=None, count=200, train=True):
    return [(task or plain()).encode(data, 0, numpy_rng(0, n), train=train) for n in range(count)]


def in_model(triplet, joints):
    warp = np.array(triplet.query["warp"])
    return joints @ warp[:, :2].T + warp[:, 2]


def test_one_to_five_joints_each_in_its_own_color():
    counts = set()
    for triplet in draws(sample()):
        query = triplet.query
        counts.add(len(query["joints"]))
        assert len(set(query["indices"])) == len(set(query["colors"])) == len(query["joints"])
        assert [NAMES[i].replace("_", " ") for i in query["indices"]] == query["joints"]
        assert all(word in triplet.instruction for word in query["joints"] + query["colors"])
    assert counts == {1, 2, 3, 4, 5}


def test_discs_lie_on_the_joints():
    joints = np.array(sample().annotation["instances"][0]["keypoints"])
    for triplet in draws(sample(), train=False, count=50):
        places = in_model(triplet, joints[triplet.query["indices"], :2])
        discs = disc_maps(places, (64, 64), 4.0)
        assert torch.equal(triplet.answer[: len(places)].bool(), discs) and not triplet.answer[len(places) :].any()
        last = discs[-1]
        assert (torch.tensor(triplet.query["rgbs"][-1]) / 127.5 - 1 == triplet.target[:, last].T).all()


def test_a_mirrored_person_keeps_left_and_right_apart():
    """In a mirror the joint painted as left is the one that looks left: the original's right one."""
    joints = np.array(sample().annotation["instances"][0]["keypoints"])
    partner = {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5}
    mirrored = 0
    for triplet in draws(sample()):
        flips = np.linalg.det(np.array(triplet.query["warp"])[:, :2]) < 0
        mirrored += flips
        own = [partner.get(i, i) if flips else i for i in triplet.query["indices"]]
        discs = disc_maps(in_model(triplet, joints[own, :2]), (64, 64), 4.0)
        assert torch.equal(triplet.answer[: len(own)].bool(), discs)
    assert 60 < mirrored < 140


def test_training_views_vary_as_told():
    still = {"scale_sigma": 0.0, "rotation_share": 0.0, "half_body_share": 0.0, "flip": 0.0}
    shown = plain(**still).encode(sample(), 0, numpy_rng(0, 0), train=False)
    for triplet in draws(sample(), plain(**still), 20):
        assert triplet.query["warp"] == shown.query["warp"]
    for triplet in draws(sample(), plain(**still | {"flip": 1.0}), 20):
        assert np.linalg.det(np.array(triplet.query["warp"])[:, :2]) < 0


def test_mirrors_of_albumentations_swap_sides_too():
    task = plain(augment=[{"name": "HorizontalFlip", "p": 1.0}])
    joints = np.array(sample().annotation["instances"][0]["keypoints"])
    for triplet in draws(sample(), task, 30):
        flips = np.linalg.det(np.array(triplet.query["warp"])[:, :2]) < 0
        own = [{1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5}.get(i, i) if flips else i for i in triplet.query["indices"]]
        found = task.decode(triplet.target[None], triplet.source[None], [triplet.query])[0].keypoints
        error = np.hypot(*(found[:, :2].numpy() - in_model(triplet, joints[own, :2])).T)
        assert np.nanmedian(error) < 1.0


@pytest.mark.parametrize("paint_hidden", [False, True])
def test_hidden_joints_are_asked_and_not_painted(paint_hidden):
    data = sample(visibility=(1, 2, 2, 2, 2, 2, 2))
    triplets = draws(data, plain(paint_hidden=paint_hidden), train=False)
    asked = [triplet for triplet in triplets if 0 in triplet.query["indices"]]
    assert asked
    for triplet in asked:
        assert bool(triplet.answer[triplet.query["indices"].index(0)].any()) == paint_hidden
        assert "nose" in triplet.instruction


@pytest.mark.parametrize("options", [{"paint_hidden": False}, {"ask_unlabelled": False}])
def test_unlabelled_joints_are_not_asked_where_that_is_not_wanted(options):
    data = sample(visibility=(0, 2, 2, 0, 2, 2, 2))
    for triplet in draws(data, plain(**options), train=False):
        assert not {0, 3} & set(triplet.query["indices"])
    assert all(0 not in triplet.query["indices"] for triplet in draws(data, plain(**options), count=50))


def test_unlabelled_joints_may_be_asked_and_are_not_painted():
    """As in the released code, where they lie nowhere; only labelled joints beyond the crop are left out."""
    data = sample(visibility=(0, 2, 2, 0, 2, 2, 2))
    data.annotation["instances"][0]["keypoints"][0][:2] = data.annotation["instances"][0]["keypoints"][3][:2] = [
        0.0,
        0.0,
    ]
    data.annotation["instances"][0]["box"] = [20.0, 5.0, 60.0, 70.0]  # the feet, 5 and 6, are cut away
    asked = set()
    for triplet in draws(data, train=False):
        asked |= set(triplet.query["indices"])
        for slot, index in enumerate(triplet.query["indices"]):
            assert bool(triplet.answer[slot].any()) == (index not in {0, 3})
    assert asked == {0, 1, 2, 3, 4}


def test_joints_beyond_the_crop_are_left_out():
    data = sample()
    data.annotation["instances"][0]["box"] = [20.0, 5.0, 60.0, 40.0]  # the head alone
    for triplet in draws(data, train=False, count=60):
        assert set(triplet.query["indices"]) <= {0, 1, 2, 3, 4}
        places = in_model(triplet, np.array(data.annotation["instances"][0]["keypoints"])[triplet.query["indices"], :2])
        assert ((places >= -0.5) & (places < 63.5)).all()


@pytest.mark.parametrize("visibility", [(0,) * 7, (1,) * 7])
def test_nobody_visible_is_a_valid_example(visibility):
    for triplet in draws(sample(visibility), plain(paint_hidden=False), count=10):
        assert torch.equal(triplet.target, triplet.source) and triplet.query["joints"] and triplet.instruction


@pytest.mark.parametrize(("most", "prompts"), [(5, 2), (3, 3), (1, 7)])
def test_queries_ask_every_joint_once(most, prompts):
    triplets = plain(joints_per_prompt=most).queries(sample((2, 2, 0, 1, 2, 2, 2)), 0)
    assert len(triplets) == prompts
    assert sorted(index for t in triplets for index in t.query["indices"]) == list(range(7))
    for triplet in triplets:
        assert triplet.query["colors"] == list(palette("saturated"))[: len(triplet.query["joints"])]
        assert triplet.query["box"] == [20.0, 10.0, 60.0, 110.0]
    # The eyes lie close together: their discs must not share an image.
    assert not any({1, 2} <= set(t.query["indices"]) for t in triplets)


def decoded(task, data):
    triplets = task.queries(data, 0)
    targets, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in ("target", "source"))
    queries = [t.query for t in triplets]
    return task.combine(task.decode(targets, sources, queries), queries), task.truth(triplets[0].annotation)


def test_decoded_joints_lie_in_the_pixels_of_the_original():
    prediction, truth = decoded(plain(), sample())
    assert prediction.keypoints.shape == truth.keypoints.shape == (7, 3)
    assert (prediction.keypoints[:, :2] - truth.keypoints[:, :2]).norm(dim=1).max() < 1.0  # 2.1 px a model pixel
    assert truth.box == (20.0, 10.0, 60.0, 110.0) and truth.area == 3300.0 and len(truth.sigmas) == 7


def test_what_was_not_painted_is_nan():
    prediction, _ = decoded(plain(paint_hidden=False), sample((2, 1, 0, 2, 2, 2, 2)))
    assert prediction.keypoints[1:3, :2].isnan().all() and prediction.keypoints[1:3, 2].eq(0).all()
    assert prediction.keypoints[[0, 3, 4, 5, 6]].isfinite().all()
    assert math.isfinite(prediction.score)


def test_other_prompts_may_miss_joints():
    task = plain()
    triplet = task.encode(sample(), 0, numpy_rng(0, 3), train=False)
    prediction = task.combine(task.decode(triplet.target[None], triplet.source[None], [triplet.query]), [triplet.query])
    found = prediction.keypoints[:, 0].isfinite()
    assert set(found.nonzero().flatten().tolist()) <= set(triplet.query["indices"]) and found.any()


def test_guess_places_the_median_pose_in_the_box():
    task = plain()
    truths = []
    for shift in (0.0, 30.0, 60.0):
        data = sample()
        instance = data.annotation["instances"][0]
        instance["keypoints"] = [[x + shift, y, v] for x, y, v in instance["keypoints"]]
        instance["box"][0] += shift
        truths.append(task.truth(task.queries(data, 0)[0].annotation))
    name, answer = task.baseline(truths)
    assert name == "mean_pose"
    points = answer({**task.queries(sample(), 0)[0].query, "box": [0.0, 0.0, 120.0, 220.0]}).keypoints
    assert torch.allclose(points[0, :2], torch.tensor([60.0, 20.0]))


def change(**fields):
    data = copy.deepcopy(sample())
    data.annotation["instances"][0].update(fields)
    return data


@pytest.mark.parametrize(
    ("data", "item", "field"),
    [
        (change(keypoints=[[1, 2, 2]]), 0, "keypoints"),
        (change(keypoints="many"), 0, "keypoints"),
        (change(keypoints=[[math.nan, 0, 2]] * 7), 0, "keypoints"),
        (change(box=[0, 0, 0, 0]), 0, "box"),
        (change(box=None), 0, "box"),
        (change(category="cat"), 0, "category"),
        (sample(), 1, "annotation.instances"),
        (Sample("a", sample().image, {}), 0, "annotation.instances"),
    ],
)
def test_bad_samples_are_named(data, item, field):
    for call in (lambda: plain().encode(data, item, numpy_rng(0), train=True), lambda: plain().queries(data, item)):
        with pytest.raises(BadSampleError, match=field):
            call()


@pytest.mark.parametrize(
    "arguments",
    [{"joints_per_prompt": 6}, {"joints_per_prompt": 0}, {"radius_share": 0.001}, {"radius_share": 0.5},
     {"transparency": 2.0}, {"padding": 0.0}, {"size": 1}, {"instructions": "/none"},
     {"flip": 2.0}, {"rotation_share": -1.0}, {"scale_sigma": 1.0}],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(IdiffError, match=r"must|expected|few|missing"):
        KeypointDetection(**arguments)


def test_it_travels_to_workers():
    task = KeypointDetection()
    again = pickle.loads(pickle.dumps(task))
    one, two = (each.encode(sample(), 0, numpy_rng(0, "w"), train=True) for each in (task, again))
    assert torch.equal(one.target, two.target) and one.instruction == two.instruction


def test_only_joints_that_coco_has_are_scored_where_that_is_asked():
    """Of AP-10K's joints: eyes, nose, shoulders, elbows, hips, knees."""
    from idiff.utils.sigmas import TABLES

    names = list(TABLES["ap10k"])
    points = [[10.0 + 5 * (place % 5), 10.0 + 9 * (place // 5), 2] for place in range(len(names))]
    one = {"category": "cat", "keypoints": points, "box": [5, 5, 40, 50], "area": 900.0, "id": 3}
    skeleton = {"joints": names, "pairs": [], "sigmas": list(TABLES["ap10k"].values())}
    data = Sample("a", np.full((64, 64, 3), 128, np.uint8), {"instances": [one]}, meta={"skeletons": {"cat": skeleton}})
    shared, every = KeypointDetection(score="coco"), KeypointDetection()
    triplets = shared.queries(data, 0)
    assert [t.query["joints"] for t in triplets] == [t.query["joints"] for t in every.queries(data, 0)], (
        "all are asked for"
    )
    truth, whole = (task.truth(triplets[0].annotation) for task in (shared, every))
    scored = {name for name, joint in zip(names, truth.keypoints, strict=True) if joint[2] > 0}
    sides = {f"{side} {part}" for side in ("left", "right") for part in ("eye", "shoulder", "elbow", "hip", "knee")}
    assert scored == {"nose", *sides}
    assert (whole.keypoints[:, 2] == 2).all() and torch.equal(whole.keypoints[:, :2], truth.keypoints[:, :2])
    metrics = {name: task.metrics() for name, task in (("coco", shared), ("all", every))}
    found = torch.tensor(points)
    for index, name in enumerate(names):
        if name not in scored:
            found[index, :2] += 30
    for name, told in (("coco", truth), ("all", whole)):
        metrics[name].update(KeypointPrediction(query={}, score=1.0, keypoints=found), told)
    assert float(metrics["coco"].compute()["pck"]) == 1.0 and float(metrics["coco"].compute()["ap"]) == pytest.approx(
        1.0
    )
    assert float(metrics["all"].compute()["pck"]) == pytest.approx(11 / 17)
    with pytest.raises(ConfigError, match="unknown set of scored joints 'cooc'; did you mean 'coco'"):
        KeypointDetection(score="cooc")


def test_joints_without_sides_are_never_mirrored():
    data = sample()
    data.meta = {"skeletons": {"person": SKELETON | {"pairs": []}}}
    for triplet in draws(data, plain(flip=1.0), 20):
        assert np.linalg.det(np.array(triplet.query["warp"])[:, :2]) > 0


def test_a_person_that_fills_the_image_is_seen_at_its_own_shape():
    """As in the released code; a person with a box of its own is seen through the square around it."""
    task, data = plain(frame="native64", size=128), sample()
    (first, *_) = task.queries(data, 0)
    assert (
        first.source.shape == (3, 128, 128) and first.query["warp"] == plain(size=128).queries(data, 0)[0].query["warp"]
    )
    data.annotation["instances"][0]["box"] = [0.0, 0.0, 100.0, 130.0]
    (first, *_) = task.queries(data, 0)
    assert first.source.shape == (3, 128, 128) and first.query["warp"][0][0] == pytest.approx(1.28)
    data.image = np.tile(data.image, (1, 3, 1))
    data.annotation["instances"][0]["box"] = [0.0, 0.0, 300.0, 130.0]
    prediction, truth = decoded(task, data)
    assert task.queries(data, 0)[0].source.shape == (3, 64, 128)
    assert (prediction.keypoints[:, :2] - truth.keypoints[:, :2]).norm(dim=1).max() < 2.0  # 2.0 px a model pixel


def test_saved_without_a_word_about_hidden_joints_they_stay_unpainted():
    """A checkpoint of an earlier version that does not say so had the default of then; a YAML has that of today."""
    entry = {"task": {"class_path": "idiff.tasks.KeypointDetection", "init_args": {"size": 64}}}
    saved = restore_task({"tasks": {"people": entry}}, "people", data="", changes={}).task
    assert saved.paint_hidden is False and saved.ask_unlabelled is False
    entry["task"]["init_args"]["paint_hidden"] = True
    assert restore_task({"tasks": {"people": entry}}, "people", data="", changes={}).task.paint_hidden is True
    assert KeypointDetection().paint_hidden is True
