"""Values that label maps hold."""

import numpy as np
import pytest

from idiff.types import highest_label, void_of


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("values", [[0, 0], [3, 1], [None, 7], [None, 0], [None, None]])
def test_the_highest_label_is_that_of_what_is_not_void(kind, values):
    void = void_of(np.zeros((1, 1), kind))
    labels = np.array([[void if value is None else value for value in values]], kind)
    known = [value for value in values if value is not None]
    assert highest_label(labels) == max(known, default=-1)
