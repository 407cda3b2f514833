"""Scenes for detection and classification: the objects of known scenes, and scenes of one object."""

import hashlib
import json

import numpy as np
import pytest

from idiff.synthetic.scenes import SCENE_TASKS, VERSION, difficulty
from idiff.synthetic.source import SyntheticSource
from idiff.utils.masks import decode_mask

TASKS = ("detection", "classification")
GOLDEN = {
    "detection": "73c00ceed48881dd55cd8100fe0d3bee4c37cef81702eba7fe62850e4f0ed8bd",
    "classification": "4189f85431aa113c94b47485c6f74d5be4e52199c7ac20fbaee17b54556b72ab",
}


@pytest.fixture(scope="module", params=TASKS)
def drawn(request):
    source = SyntheticSource(request.param, split="train", count=200, seed=0)
    return request.param, [source.sample(index) for index in range(200)]


def test_every_object_has_class_mask_and_box(drawn):
    task, samples = drawn
    for sample in samples:
        categories, instances = sample.meta["categories"], sample.annotation["instances"]
        assert [thing["kind"] for thing in sample.annotation["scene"]["objects"]] == [
            one["category"] for one in instances
        ]
        for instance in instances:
            mask = decode_mask(instance["mask"])
            rows, columns = np.nonzero(mask)
            assert instance["category"] in categories and instance["area"] == mask.sum()
            x, y, w, h = instance["box"]
            assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (x, x + w, y, y + h)
        assert len(instances) == 1 if task == "classification" else 2 <= len(instances) <= 6
        assert json.loads(json.dumps(sample.annotation)) == sample.annotation


def test_detection_sees_the_scenes_and_objects_of_referring():
    detection, referring = (SyntheticSource(task, split="val", count=5, seed=2) for task in ("detection", "referring"))
    for index in range(5):
        one, other = detection.sample(index), referring.sample(index)
        assert np.array_equal(one.image, other.image)
        assert one.annotation["instances"] == other.annotation["instances"]


def test_single_objects_are_whole_of_all_kinds_and_sizes(drawn):
    task, samples = drawn
    if task == "classification":
        found = difficulty(samples)
        assert found["objects_per_picture"] == [1, 1] and found["occlusion_max"] == 0
        assert found["kinds"] == len(SCENE_TASKS[task].meta["categories"]) and found["backgrounds"] >= 6
        shares = [sample.annotation["instances"][0]["area"] / 64**2 for sample in samples]
        assert min(shares) < 0.05 and max(shares) > 0.2
        kinds = [sample.annotation["instances"][0]["category"] for sample in samples]
        assert max(kinds.count(kind) for kind in kinds) < 30


@pytest.mark.parametrize("task", TASKS)
def test_the_first_samples_are_golden(task):
    """If this fails on purpose, raise VERSION and write down the new hash."""
    source = SyntheticSource(task, split="train", count=8, seed=0)
    hashed = hashlib.sha256()
    for index in range(8):
        sample = source.sample(index)
        hashed.update(sample.image.tobytes() + json.dumps(sample.annotation, sort_keys=True).encode())
    assert (VERSION, hashed.hexdigest()) == (2, GOLDEN[task])
