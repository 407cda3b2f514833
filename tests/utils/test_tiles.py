import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.utils.tiles import Window, blend_tiles, starts, tiles

SIZES = st.integers(1, 300)


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 5000), side=st.integers(8, 512), share=st.floats(0, 0.6))
def test_squares_cover_a_side_and_overlap_by_what_was_asked(length, side, share):
    overlap = int(share * side)
    begins = starts(length, side, overlap)
    if length <= side:
        (begin,) = begins
        assert begin <= 0 and begin + side >= length and abs((begin + side - length) + begin) <= 1  # in the middle
        return
    assert begins[0] == 0 and begins[-1] + side == length
    gaps = [later - before for before, later in itertools.pairwise(begins)]
    assert all(0 < gap <= side - overlap for gap in gaps)
    assert max(gaps) - min(gaps) <= 1
    assert len(begins) == 2 or length > side + (len(begins) - 2) * (side - overlap)  # not one more than it takes


@settings(max_examples=40, deadline=None)
@given(height=SIZES, width=SIZES, seed=st.integers(0, 99))
def test_tiles_cut_from_a_picture_make_the_picture(height, width, seed):
    picture = torch.rand(2, height, width, generator=torch.Generator().manual_seed(seed))
    pieces = []
    for window in tiles((height, width), 64, overlap=16):
        (here, inside), piece = window.shared((height, width)), torch.full((2, 64, 64), 9.0)
        piece[:, inside[0], inside[1]] = picture[:, here[0], here[1]]
        pieces.append((window, piece))
    assert torch.equal(blend_tiles(pieces, (height, width), overlap=16), picture)


@pytest.mark.parametrize(("size", "overlap"), [((64, 300), 16), ((200, 170), 16), ((129, 64), 8)])
def test_answers_that_differ_make_a_slope_and_no_step(size, overlap):
    """Neighbouring tiles differ by 1: nowhere does the blend change by more than a ramp over the overlap does."""
    windows = tiles(size, 64, overlap=overlap)
    rows, columns = sorted({window.top for window in windows}), sorted({window.left for window in windows})
    values = [(rows.index(window.top) + columns.index(window.left)) % 2 for window in windows]
    blended = blend_tiles(
        [(window, torch.full((1, 64, 64), float(value))) for window, value in zip(windows, values, strict=True)],
        size,
        overlap=overlap,
    )[0]
    assert blended.min() == 0 and blended.max() == 1  # each tile is all there is in its middle
    for axis in (0, 1):
        if size[axis] > 64:
            assert blended.diff(dim=axis).abs().max() <= 1.01 / overlap
    hard = blend_tiles(
        [(window, torch.full((1, 64, 64), float(value))) for window, value in zip(windows, values, strict=True)],
        size,
        overlap=0,
    )[0]
    assert max(float(hard.diff(dim=axis).abs().max()) for axis in (0, 1)) >= 0.5  # which the test would notice


def test_a_window_beyond_the_picture_shares_what_there_is():
    here, inside = Window(-12, 3, 64, 64).shared((40, 30))
    assert here == (slice(0, 40), slice(3, 30)) and inside == (slice(12, 52), slice(0, 27))
