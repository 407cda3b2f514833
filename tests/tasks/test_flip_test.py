import numpy as np
import pytest
import torch

from idiff.callbacks.examples import _example
from idiff.callbacks.scoring import group_predictions
from idiff.data.loading.collate import collate_groups
from idiff.data.loading.dataset import Group
from idiff.sampling import Sampling
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.common.flip_test import merge_maps, merge_points
from idiff.transforms.geometry import mirrors


def answered(task, sample, *, item=0):
    """What a perfect painter's answer to every prompt is read as, and the prompts."""
    triplets = task.queries(sample, item)
    painted = torch.stack([each.target for each in triplets])
    sources = torch.stack([each.source for each in triplets])
    queries = [each.query for each in triplets]
    return task.combine(list(task.decode(painted, sources, queries)), queries), triplets


@pytest.mark.parametrize("most", [1, 3, 5])
def test_a_perfect_painter_of_both_views_is_read_as_the_truth(most):
    task = KeypointDetection(flip_test=True, joints_per_query=most)
    sample = KeypointDetection.example(np.random.default_rng(3))
    found, triplets = answered(task, sample)
    truth = task.truth(triplets[0].annotation)
    assert len(triplets) == 2 * -(-14 // most)
    assert [mirrors(np.asarray(each.query["warp"])) for each in triplets] == [False] * (len(triplets) // 2) + [True] * (
        len(triplets) // 2
    )
    assert len({each.key for each in triplets}) == len(triplets)
    seen = truth.keypoints[:, 2] > 0
    assert (found.keypoints[seen, :2] - truth.keypoints[seen, :2]).norm(dim=1).median() < 1.5


def test_a_mirrored_view_asks_for_the_other_side():
    task = KeypointDetection(flip_test=True, joints_per_query=1)
    _, triplets = answered(task, KeypointDetection.example(np.random.default_rng(3)))
    straight, mirrored = triplets[: len(triplets) // 2], triplets[len(triplets) // 2 :]
    for one, other in zip(straight, mirrored, strict=True):
        assert one.query["indices"] == other.query["indices"]
        (name,), (swapped,) = one.query["joints"], other.query["joints"]
        assert swapped == {"left": name.replace("left", "right"), "right": name.replace("right", "left")}.get(
            name.split()[0], name
        )
        assert swapped in other.instruction


def test_one_asked_joint_without_its_partner_changes_its_side_too():
    task = KeypointDetection(flip_test=True)
    straight, mirrored = task.queries(task.asked(np.zeros((40, 60, 3), np.uint8), "left wrist"), 0)
    assert "left wrist" in straight.instruction and "right wrist" in mirrored.instruction
    assert straight.query["indices"] == mirrored.query["indices"] == [0]


@pytest.mark.parametrize("several", [1, 4])
def test_masks_of_both_views_are_laid_over_one_another(several):
    task = SemanticSegmentation(flip_test=True, classes_per_prompt=several, decoder_args={})
    sample = SemanticSegmentation.example(np.random.default_rng(5))
    found, triplets = answered(task, sample)
    truth = task.truth(triplets[0].annotation)
    assert (found.labels == truth.labels).float().mean() > 0.97
    alone, half = answered(SemanticSegmentation(classes_per_prompt=several, decoder_args={}), sample)
    assert len(triplets) == 2 * len(half) and set(found.masks) == set(alone.masks)
    assert len({each.key for each in triplets}) == len(triplets)


def test_estimates_apart_are_not_averaged():
    nowhere = [float("nan"), float("nan"), 0.0]
    first = torch.tensor([[10.0, 10.0, 0.9], [5.0, 5.0, 0.5], nowhere])
    second = torch.tensor([nowhere, [7.0, 5.0, 0.5], [30.0, 30.0, 0.2]])
    far = torch.tensor([[12.0, 10.0, 0.3]])
    points = merge_points([(first, [0, 1, 2]), (second, [2, 1, 0]), (far, [0])], 4, near=4.0)
    assert points[1].tolist() == [6.0, 5.0, 0.5]  # the mean of two equals
    assert points[0, 0] == pytest.approx(10.5) and points[0, 2] == pytest.approx(
        0.4667, abs=1e-3
    )  # the far third is left out
    assert points[3].isnan().tolist() == [True, True, False] and points[2].isnan().tolist() == [True, True, False]


def test_the_second_half_of_maps_is_mirrored():
    left, right = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.5]])
    assert merge_maps([left, right])[0].tolist() == [[0.75, 0.0]]


def test_the_image_under_the_answer_is_turned_back_where_a_mirrored_prompt_is_shown():
    task = SemanticSegmentation(flip_test=True, decoder_args={})
    triplets = task.queries(SemanticSegmentation.example(np.random.default_rng(5)), 0)
    batch = collate_groups([Group(triplets, [])], task="shapes", sampling=Sampling())
    painted = batch.target.clone()
    [answer] = group_predictions(task, painted, batch.source, batch)
    drawn = []
    for shown in (slice(len(triplets) // 2), slice(len(triplets) // 2, None)):
        batch.target = batch.source.clone()
        batch.target[shown] = painted[shown]
        example = _example(task, batch, painted, answer, None)
        drawn.append(example.pictures[-1].astype(float))
        assert ("mirrored" in example.key) == bool(shown.start)
    assert np.abs(drawn[0] - drawn[1]).mean() < 2.0  # of 255
