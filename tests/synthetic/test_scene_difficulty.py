"""The source of drawn scenes: how hard its sets are, and that they never change unnoticed."""

import hashlib
import json
import pickle

import cv2
import numpy as np
import pytest

from idiff.errors import BadSampleError, ConfigError
from idiff.synthetic.scenes import VERSION, difficulty
from idiff.synthetic.source import SyntheticSource
from idiff.types import Sample

cv2.setNumThreads(0)
TASKS = ("segmentation", "keypoints")
GOLDEN = {
    "segmentation": "45f1cd1b979e9daaad5076c4f3c786c565ddac3d3ac2987107020a5f9e2652f8",
    "keypoints": "4cdee0a2224a82166a6b559f81da74cfd3d0ab9fa118dfc8c54d4baa4b8b01dc",
}


def digest(sample: Sample) -> bytes:
    parts = [sample.image.tobytes(), b"" if sample.label is None else sample.label.tobytes()]
    parts.append(json.dumps(sample.annotation, sort_keys=True, separators=(",", ":")).encode())
    return hashlib.sha256(b"\0".join(parts)).digest()


@pytest.fixture(scope="module", params=TASKS)
def many(request) -> tuple[str, list[Sample]]:
    source = SyntheticSource(request.param, split="train", count=500, seed=1)
    return request.param, [source.sample(index) for index in range(len(source))]


def test_five_hundred_scenes_are_as_hard_as_stated(many):
    task, samples = many
    found = difficulty(samples)
    assert found["version"] == VERSION
    assert found["kinds"] >= 12
    assert found["colours"] >= 10
    assert found["backgrounds"] >= 6
    assert 0.4 < found["occlusion_max"] <= 0.5
    assert 3 <= found["median_object_percent"] <= 6
    if task == "segmentation":
        assert found["objects_per_picture"] == [2, 6]
        assert "joints" not in found
        labels = np.stack([sample.label for sample in samples])
        assert len(np.unique(labels)) == 1 + found["kinds"]
    else:
        assert found["objects_per_picture"] == [0, 3]
        assert found["figures_per_picture"] == [1, 2]
        assert found["joints"] >= 13
        low, high = found["figure_height"]
        assert 0.4 <= low < 0.5
        assert 0.8 < high <= 0.9
        assert 0.08 <= found["hidden_joints"] <= 0.13


def test_pictures_are_well_formed(many):
    task, samples = many
    assert len({sample.key for sample in samples}) == len({digest(sample) for sample in samples}) == 500
    for sample in samples[:50]:
        assert sample.image.shape == (64, 64, 3)
        assert sample.image.dtype == np.uint8
        assert json.loads(json.dumps(sample.annotation)) == sample.annotation
        if task == "segmentation":
            assert sample.label is not None
            assert sample.label.shape == (64, 64)
            assert sample.label.dtype == np.uint8
            assert sample.label.max() < len(sample.meta["classes"])
            present = {sample.meta["classes"][value] for value in np.unique(sample.label)} - {"background"}
            assert present == {thing["kind"] for thing in sample.annotation["scene"]["objects"]}
        else:
            skeleton = sample.meta["skeletons"]["person"]
            assert len(skeleton["joints"]) == len(skeleton["sigmas"]) == 14
            for instance in sample.annotation["instances"]:
                assert [len(joint) for joint in instance["keypoints"]] == [3] * 14
                assert {joint[2] for joint in instance["keypoints"]} <= {1, 2}


@pytest.mark.parametrize("task", TASKS)
def test_the_first_scenes_are_golden(task):
    """If this fails on purpose, raise VERSION and write down the new hash."""
    source = SyntheticSource(task, split="train", count=8, seed=0)
    found = hashlib.sha256(b"".join(digest(source.sample(index)) for index in range(8))).hexdigest()
    assert (VERSION, found) == (2, GOLDEN[task])


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_is_a_function_of_seed_split_and_index(task):
    source = SyntheticSource(task, split="train", count=10, seed=3)
    copy = pickle.loads(pickle.dumps(SyntheticSource(task, split="train", count=1000, seed=3)))
    later = [digest(copy.sample(index)) for index in (9, 4, 0)]
    assert later == [digest(source.sample(index)) for index in (9, 4, 0)]
    assert source.sample(4).key == "00000004"


@pytest.mark.parametrize("task", TASKS)
def test_splits_and_seeds_share_no_scene(task):
    sets = [("train", 0), ("val", 0), ("train", 1)]
    sources = [SyntheticSource(task, split=split, count=15, seed=seed) for split, seed in sets]
    pictures = {source.sample(index).image.tobytes() for source in sources for index in range(15)}
    assert len(pictures) == 45


@pytest.mark.parametrize("size", [32, 96])
def test_another_size_shows_the_same_scene(size):
    small, other = (SyntheticSource("keypoints", split="train", count=1, size=side).sample(0) for side in (64, size))
    assert other.image.shape == (size, size, 3)
    points, scaled = (np.array(sample.annotation["instances"][0]["keypoints"])[:, :2] for sample in (small, other))
    assert (points + 0.5) / 64 == pytest.approx((scaled + 0.5) / size, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": "segmentatoin"}, "did you mean 'segmentation'"),
        ({"count": 0}, "count 0"),
        ({"size": 8}, "size 8"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        SyntheticSource(**{"task": "segmentation", "split": "train", "count": 1, **options})


@pytest.mark.parametrize("index", [-1, 3])
def test_an_index_beyond_the_set_is_refused(index):
    with pytest.raises(IndexError, match="expected 0 <= index < 3"):
        SyntheticSource("keypoints", split="train", count=3).sample(index)


def drawn(objects: list[dict], figures: list[dict], instances: list[dict]) -> Sample:
    scene = {"version": 1, "background": "flat", "objects": objects, "figures": figures}
    return Sample("one", np.zeros((10, 10, 3), np.uint8), {"scene": scene, "instances": instances})


def test_difficulty_is_counted_from_the_facts():
    ball = {"kind": "circle", "colour": "red", "area": 4, "visible": 0.75}
    box = {"kind": "square", "colour": "red", "area": 8, "visible": 1.0}
    person = {"keypoints": [[0, 0, 1], [0, 0, 2], [0, 0, 2], [0, 0, 2]]}
    samples = [drawn([ball, box], [{"height": 0.5}], [person]), drawn([box], [{"height": 0.7}], [person])]
    assert difficulty(samples) == {
        "version": 1, "kinds": 2, "colours": 1, "backgrounds": 1, "objects_per_picture": [1, 2], "occlusion_max": 0.25,
        "median_object_percent": 8.0, "figures_per_picture": [1, 1], "joints": 4, "figure_height": [0.5, 0.7],
        "hidden_joints": 0.25,
    }  # fmt: skip
    assert difficulty([drawn([], [], [])])["occlusion_max"] is None
    assert difficulty([])["objects_per_picture"] is None


def test_difficulty_refuses_a_sample_that_was_not_drawn():
    with pytest.raises(BadSampleError, match="photo: scene"):
        difficulty([Sample("photo", np.zeros((4, 4, 3), np.uint8), {})])
