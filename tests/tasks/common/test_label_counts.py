"""Counts of a label map's values are those of a plain count, whatever its type and layout."""

import numpy as np
import pytest

from idiff.tasks.common.label_map import label_counts, labels_in


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (37, 5), (480, 640)])
def test_counts(dtype, shape):
    most = np.iinfo(dtype).max + 1
    labels = np.random.default_rng(0).integers(0, most, shape).astype(dtype)
    for each in (labels, labels[:, ::-1], labels[::2]):
        assert np.array_equal(label_counts(each), np.bincount(each.ravel(), minlength=most))
        assert labels_in(each) == set(np.unique(each).tolist())
