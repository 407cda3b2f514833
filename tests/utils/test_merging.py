import numpy as np
import pytest
import torch

from idiff.utils.merging import edited_weight, paste_back


def pictures(levels):
    """A source, and the same with a square of 10 x 12 pixels that differs by some gray levels."""
    source = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    edited = source.clone()
    edited[:, :, 20:30, 30:42] += levels / 127.5
    return source, edited


def test_edited_pixels_weigh_1_their_neighbourhood_fades_and_the_rest_is_0():
    source, edited = pictures(60)
    weight = edited_weight(edited, source, threshold=20)[0]
    assert weight.shape == (64, 64)
    assert (weight[20:30, 30:42] == 1).all()
    assert (weight[:14] == 0).all() and (weight[36:] == 0).all() and (weight[:, :24] == 0).all()
    row = weight[25, :31]
    assert (row.diff() >= 0).all() and row.diff().max() <= 0.25  # no hard edge
    assert weight.max() == 1


@pytest.mark.parametrize(("levels", "found"), [(15, False), (25, True)])
def test_the_threshold_is_in_grey_levels(levels, found):
    source, edited = pictures(levels)
    assert bool((edited_weight(edited, source, threshold=20) > 0).any()) == found


def test_noise_below_the_threshold_is_no_edit_and_nan_is():
    source, _ = pictures(0)
    noisy = source + torch.randn(source.shape, generator=torch.Generator().manual_seed(1)) * 8 / 127.5
    assert not edited_weight(noisy, source, threshold=20).any()
    noisy[:, :, 5, 5] = torch.nan
    assert edited_weight(noisy, source, threshold=20)[0, 5, 5] == 1


def test_what_weighs_nothing_stays_to_the_bit():
    rng = np.random.default_rng(0)
    original, picture = (rng.integers(0, 256, (40, 50, 3)).astype(np.uint8) for _ in range(2))
    weight = torch.zeros(40, 50)
    weight[10:20, 10:20], weight[30, 30] = 1.0, 0.5
    kept = original.copy()
    merged = paste_back(original, picture, weight)
    assert merged.dtype == np.uint8 and np.array_equal(original, kept)
    untouched = weight.numpy() == 0
    assert np.array_equal(merged[untouched], original[untouched])
    assert np.array_equal(merged[10:20, 10:20], picture[10:20, 10:20])
    assert np.abs(merged[30, 30] - (original[30, 30].astype(float) + picture[30, 30]) / 2).max() <= 0.5
