"""The flip test of tasks that answer with a whole image or map: both answers in the original's place, and their mean."""

import numpy as np
import pytest
import torch

from idiff.tasks import Deblur, Denoise, DepthEstimation, EdgeDetection, SurfaceNormals
from idiff.transforms.geometry import mirrored, mirrors

WAYS = [
    (Denoise, {}), (Denoise, {"whole": True}), (Deblur, {"whole": True, "overlap": 0.25}),
    (DepthEstimation, {}), (DepthEstimation, {"scale": "relative"}), (SurfaceNormals, {}), (EdgeDetection, {}),
]  # fmt: skip


def asked(cls, options, *, flip_test):
    """The task, its queries of one example, and their true answers."""
    task = cls(flip_test=flip_test, **options)
    sample = cls.example(np.random.default_rng(3))
    return task, task.queries(sample, 0)


def answered(task, triplets, painted):
    """What the task makes of painted images."""
    queries = [one.query for one in triplets]
    return task.combine(task.decode(painted, torch.stack([one.source for one in triplets]), queries), queries)


def numbers(prediction):
    return prediction.picture if hasattr(prediction, "picture") else prediction.values


def truths(triplets):
    return torch.stack([one.target for one in triplets])


@pytest.mark.parametrize(("cls", "options"), WAYS)
def test_right_answers_about_the_mirrored_image_change_nothing(cls, options):
    one, both = (asked(cls, options, flip_test=way) for way in (False, True))
    assert len(both[1]) == 2 * len(one[1])
    assert len({triplet.key for triplet in both[1]}) == len(both[1])
    for straight, turned in zip(one[1], both[1][len(one[1]) :], strict=True):
        assert torch.allclose(turned.source, straight.source.flip(-1), atol=0.02)
        assert mirrors(np.asarray(turned.query["warp"]))
    alone, mean = (numbers(answered(task, triplets, truths(triplets))) for task, triplets in (one, both))
    assert alone.shape == mean.shape
    assert float((alone - mean).abs().median()) < 1e-4
    assert (
        float(((alone - mean).abs() < 0.02 * (1 + alone.abs())).double().mean()) > 0.97
    )  # but for edges between pixels


@pytest.mark.parametrize(("cls", "options"), WAYS)
def test_noise_of_two_answers_is_averaged(cls, options):
    one, both = (asked(cls, options, flip_test=way) for way in (False, True))
    right = numbers(answered(one[0], one[1], truths(one[1])))
    rng, errors = torch.Generator().manual_seed(1), []
    for task, triplets in (one, both):
        painted = truths(triplets) + 0.05 * torch.randn(truths(triplets).shape, generator=rng)
        errors.append(float((numbers(answered(task, triplets, painted)) - right).square().mean()))
    assert errors[1] < 0.9 * errors[0]  # half, where the noise is independent and nothing is clipped


def test_a_mirrored_view_is_the_same_view():
    matrix = np.array([[0.5, 0.1, 3.0], [-0.1, 0.5, 2.0]])
    points = np.array([[4.0, 7.0, 1.0], [30.0, 2.0, 1.0]])
    there, back = points @ matrix.T, points @ mirrored(matrix, 64).T
    np.testing.assert_allclose(back, np.column_stack([63 - there[:, 0], there[:, 1]]))
    np.testing.assert_allclose(mirrored(mirrored(matrix, 64), 64), matrix)
