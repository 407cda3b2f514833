import logging

import numpy as np
import pytest
import torch

from idiff.errors import BadSampleError
from idiff.tasks import KeypointDetection
from idiff.tasks.common import prompts
from idiff.types import Sample
from idiff.utils.seeds import numpy_rng
from idiff.utils.tokens import LIMIT, count_tokens

COCO = [
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
]  # fmt: skip
LONG = [f"{name}_metacarpophalangeal_articulation" for name in COCO]
"""About 20 tokens each: five never fit one prompt, two do."""


def sample(names, *, label=2):
    rng = np.random.default_rng(0)
    joints = [[float(x), float(y), label] for x, y in rng.uniform(25, 75, (len(names), 2))]
    instance = {"category": "person", "keypoints": joints, "box": [10.0, 10.0, 80.0, 80.0], "area": 3000.0, "id": 1}
    skeleton = {"joints": names, "pairs": [], "sigmas": [0.05] * len(names)}
    picture = rng.integers(100, 150, (100, 100, 3)).astype(np.uint8)
    return Sample("a", picture, {"instances": [instance]}, meta={"skeletons": {"person": skeleton}})


def words(names):
    return [name.replace("_", " ") for name in names]


def asks_what_it_says(triplet, names):
    """Every joint of the query stands in a prompt that fits, with its own color; no other joint is painted."""
    query = triplet.query
    assert count_tokens(triplet.instruction) <= LIMIT, triplet.instruction
    assert query["joints"] == [words(names)[index] for index in query["indices"]]
    assert len(query["joints"]) == len(query["colors"]) == len(query["rgbs"])
    assert all(joint in triplet.instruction for joint in query["joints"])
    assert all(color in triplet.instruction for color in query["colors"])
    assert triplet.answer.any(dim=(1, 2)).tolist() == [slot < len(query["joints"]) for slot in range(5)]


@pytest.mark.parametrize("phrasings", ["seen", "unseen"])
@pytest.mark.parametrize(("names", "fewest", "split"), [(COCO, 4, False), (LONG, 8, True)], ids=["coco", "long"])
def test_evaluation_asks_for_every_joint_in_a_prompt_that_fits(names, fewest, split, phrasings):
    triplets = KeypointDetection(phrasings=phrasings).queries(sample(names), 0)
    assert sorted(index for triplet in triplets for index in triplet.query["indices"]) == list(range(17))
    assert len(triplets) >= fewest and len({triplet.key for triplet in triplets}) == len(triplets)
    for triplet in triplets:
        asks_what_it_says(triplet, names)
        assert triplet.query["split"] == len(triplets) - 4
    assert split == (len(triplets) > 4)


def test_what_is_split_is_read_back_whole():
    data, task = sample(LONG), KeypointDetection(radius_share=0.03)
    triplets = task.queries(data, 0)
    targets, sources = (torch.stack([getattr(t, name) for t in triplets]) for name in ("target", "source"))
    queries = [triplet.query for triplet in triplets]
    found = task.combine(task.decode(targets, sources, queries), queries).keypoints
    true = torch.tensor(data.annotation["instances"][0]["keypoints"])
    near = (found[:, :2] - true[:, :2]).norm(dim=1) < 3
    assert near.float().mean() > 0.8 and not found.isnan().any()


@pytest.mark.parametrize(("names", "most"), [(COCO, 5), (LONG, 2)], ids=["coco", "long"])
def test_training_asks_for_every_joint_sooner_or_later_and_never_in_a_prompt_that_is_cut(names, most):
    task, data = KeypointDetection(augment=[], half_body_share=0.0), sample(names)
    asked, counts, waited = set(), set(), 0
    for number in range(300):
        triplet = task.encode(data, 0, numpy_rng(0, number), train=True)
        asks_what_it_says(triplet, names)
        asked |= set(triplet.query["indices"])
        counts.add(len(triplet.query["indices"]))
        waited += triplet.query["split"]
    assert asked == set(range(17))
    assert max(counts) >= most
    assert (waited > 0) == (names is LONG)


def test_it_is_said_once(caplog, monkeypatch):
    monkeypatch.setattr(prompts, "_told", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            KeypointDetection().queries(sample(LONG), 0)
    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records) >= 1
    assert "5 joints a prompt pass the 77 tokens" in caplog.text


@pytest.mark.parametrize("name", ["x" * 500, "knee " * 90, "膝" * 60])
def test_a_name_that_no_prompt_holds_is_a_bad_sample(name):
    data = sample([name])
    with pytest.raises(BadSampleError, match=r"a: skeleton.joints: .* expected 77 or fewer"):
        KeypointDetection().queries(data, 0)
    with pytest.raises(BadSampleError, match="shorter name"):
        KeypointDetection().encode(data, 0, numpy_rng(0), train=True)


def test_odd_names_are_asked_for():
    names = ["NOSE", "🦵 left", "re\x00d", "{joint}", "ear | {color}"]
    (triplet,) = KeypointDetection().queries(sample(names), 0)
    assert count_tokens(triplet.instruction) <= LIMIT
    assert "{joint}" in triplet.instruction and "\x00" not in triplet.instruction
