"""Large images through overlapping windows: all is seen, nothing is moved, and there is no seam."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.errors import ConfigError
from idiff.transforms.cover import cover, stitch
from idiff.transforms.windows import window_slices


def cut(picture, matrix, size):
    """What a window shows; zeros where the image has no pixel."""
    piece = torch.zeros(picture.shape[0], size, size)
    here, (rows, columns) = window_slices(matrix, tuple(picture.shape[1:]), size)
    piece[:, rows, columns] = picture[:, here[0], here[1]]
    return piece


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(4, 24), st.floats(0, 0.99), st.integers(0, 2**32 - 1))
def test_windows_show_every_pixel_with_their_overlap_and_go_together_exactly(height, width, size, share, seed):
    overlap = min(int(share * size), size - 1)
    windows = cover((height, width), size, overlap=overlap)
    starts = [sorted({-int(matrix[axis, 2]) for matrix in windows}) for axis in (1, 0)]
    assert len(windows) == len(starts[0]) * len(starts[1])
    for length, firsts in zip((height, width), starts, strict=True):
        assert firsts[0] <= 0 and firsts[-1] + size >= length
        assert all(0 < second - first <= size - overlap for first, second in itertools.pairwise(firsts))
        if length > size:
            assert firsts[0] == 0 and firsts[-1] == length - size
            assert len(firsts) == -(-(length - overlap) // (size - overlap)), "as few as there can be"
    picture = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    pieces = [cut(picture, matrix, size) for matrix in windows]
    assert torch.equal(stitch(pieces, [matrix.tolist() for matrix in windows], (height, width)), picture)


def test_windows_that_disagree_fade_into_one_another():
    """Windows that are all of another brightness: no step is much larger inside of an overlap than the ramp asks for."""
    windows = cover((32, 112), 32, overlap=16)
    pieces = [torch.full((1, 32, 32), float(number % 2)) for number in range(len(windows))]
    made = stitch(pieces, [matrix.tolist() for matrix in windows], (32, 112))
    steps = (made[0, 16, 1:] - made[0, 16, :-1]).abs()
    assert 0.9 < float(made.max() - made.min()) <= 1.0
    assert float(steps.max()) < 0.1, "butted together, the step would be 1"


def test_an_overlap_that_cannot_be_is_refused():
    for overlap in (-1, 8):
        with pytest.raises(ConfigError, match=f"overlap={overlap} pixels must lie in 0 to 7"):
            cover((20, 20), 8, overlap=overlap)
    assert np.array_equal(cover((6, 8), 8, overlap=0)[0], [[1, 0, 0], [0, 1, 1]])
