import numpy as np
import pytest
import torch

from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.common.view import original_view


@pytest.mark.parametrize("task", [SemanticSegmentation(), KeypointDetection()])
def test_the_original_is_seen_where_the_model_saw_it_and_grey_elsewhere(task):
    sample = task.example(np.random.default_rng(2))
    triplet = task.queries(sample, 0)[0]
    view = original_view(triplet.source, triplet.query).astype(float)
    assert view.shape == sample.image.shape
    grey = (view == 128).all(axis=-1)
    difference = np.abs(view - sample.image).mean(axis=-1)[~grey]
    assert np.median(difference) < 20
    shifted = {**triplet.query, "warp": [[1.0, 0.0, 1000.0], [0.0, 1.0, 0.0]]}
    assert (original_view(torch.ones(3, 64, 64), shifted) == 128).all()
