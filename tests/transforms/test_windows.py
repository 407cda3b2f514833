import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.transforms.geometry import GREY, warp_picture
from idiff.transforms.windows import frame_window, window_slices

SIDES = st.integers(1, 90)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(SIDES, SIDES, st.booleans(), st.booleans(), st.integers(0, 99))
def test_a_window_shows_pixels_as_they_are(height, width, mirror, drawn, seed):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    matrix = frame_window((height, width), 32, rng if drawn else None, mirror=mirror)
    shown = warp_picture(picture, matrix, 32)
    here, there = window_slices(matrix, (height, width), 32)
    part = picture[here]
    assert part.shape[:2] == (min(height, 32), min(width, 32))
    assert np.array_equal(shown[there], part[:, ::-1] if mirror else part)
    padding = np.ones((32, 32), bool)
    padding[there] = False
    assert (shown[padding] == GREY).all()


@pytest.mark.parametrize(("length", "start"), [(32, 0), (40, 4), (41, 4), (20, -6), (1, -16)])
def test_without_an_rng_the_middle_is_seen(length, start):
    assert frame_window((length, 32), 32).tolist() == [[1, 0, 0], [0, 1, -start]]


def test_with_an_rng_every_place_is_seen():
    rng = np.random.default_rng(0)
    places = {tuple(frame_window((35, 34), 32, rng)[:, 2]) for _ in range(300)}
    assert places == {(-x, -y) for x in range(3) for y in range(4)}
