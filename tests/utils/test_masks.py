import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from idiff.utils.masks import check_mask, decode_mask, encode_mask


def noise(height, width, share, seed):
    return np.random.default_rng(seed).random((height, width)) < share


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.02, 0.5, 0.97, 1.0]), st.integers(0, 99))
def test_masks_come_back_as_pycocotools_reads_them(height, width, share, seed):
    mask = noise(height, width, share, seed)
    written = encode_mask(mask)
    assert written["size"] == [height, width]
    assert np.array_equal(decode_mask(written), mask)
    assert np.array_equal(coco.decode(written).astype(bool), mask)
    assert check_mask(written)[1::2].sum() == mask.sum()


@pytest.mark.parametrize("shape", [(480, 640), (3000, 2000), (1, 65_535)])
def test_long_runs(shape):
    mask = np.zeros(shape, bool)
    mask[shape[0] // 3 :, shape[1] // 2 :] = True
    assert np.array_equal(decode_mask(encode_mask(mask)), mask)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "size is None"),
        ([], "size is None"),
        ({"size": [4], "counts": "`0"}, "expected"),
        ({"size": [4, True], "counts": "`0"}, "expected"),
        ({"size": [4.0, 4], "counts": "`0"}, "expected"),
        ({"size": [0, 4], "counts": "0"}, "1 to 65535"),
        ({"size": [1 << 40, 1 << 40], "counts": "0"}, "1 to 65535"),
        ({"size": [4, 4]}, "counts are NoneType"),
        ({"size": [4, 4], "counts": [16]}, "counts are list"),
        ({"size": [4, 4], "counts": ""}, "one run or more"),
        ({"size": [4, 4], "counts": "ü"}, "expected"),
        ({"size": [4, 4], "counts": "`0 "}, "character"),
        ({"size": [4, 4], "counts": "`0z"}, "character"),
        ({"size": [4, 4], "counts": "`"}, "end within a run"),
        ({"size": [4, 4], "counts": "`" * 40 + "0"}, "too long"),
        ({"size": [4, 5], "counts": "`0"}, "do not fill 4 x 5"),
        ({"size": [4, 4], "counts": "O"}, "do not fill"),
        ({"size": [4, 4], "counts": "`0" * 3}, "do not fill"),
        ({"size": [65535, 65535], "counts": "0" + "oooooo?" * 2000}, "do not fill"),
    ],
)
def test_what_is_no_mask_is_refused(value, reason):
    with pytest.raises(ValueError, match=reason):
        decode_mask(value)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet=[chr(code) for code in range(46, 114)], max_size=12))
def test_any_text_is_a_mask_or_refused(text):
    value = {"size": [5, 7], "counts": text}
    try:
        mask = decode_mask(value)
    except ValueError:
        return
    assert mask.shape == (5, 7) and np.array_equal(coco.decode(value).astype(bool), mask)
