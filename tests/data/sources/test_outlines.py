import numpy as np
import pytest
from pycocotools.mask import encode, frPyObjects

from idiff.data.sources.outlines import mask_of
from idiff.utils.masks import decode_mask, encode_mask


def drawn(segmentation, height=20, width=30):
    return decode_mask(mask_of(segmentation, height=height, width=width))


def box(x, y, width, height):
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def test_a_polygon_is_drawn_as_cocos_own_api_does():
    corners = [3.2, 2.5, 25.7, 6.1, 14.0, 18.9]
    official = frPyObjects([corners], 20, 30)[0]["counts"].decode()
    assert mask_of([corners], height=20, width=30) == {"size": [20, 30], "counts": official}
    assert drawn([box(4, 5, 6, 7)]).sum() == 42


def test_overlapping_polygons_leave_no_hole():
    """Adding the polygons up and asking for 1 would cut their common part out."""
    one, two = box(2, 2, 12, 10), box(8, 6, 12, 10)
    union = drawn([one, two])
    assert union[8, 10] and np.array_equal(union, drawn([one]) | drawn([two]))
    added = drawn([one]).astype(int) + drawn([two])
    assert (added == 2).any() and not np.array_equal(union, added == 1)


def test_runs_are_read_in_both_forms():
    mask = drawn([box(4, 5, 6, 7)])
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    assert np.array_equal(drawn({"size": [20, 30], "counts": runs}), mask)
    assert np.array_equal(drawn(encode_mask(mask)), mask)
    assert drawn({"size": [20, 30], "counts": [0, 600]}).all()
    assert encode_mask(mask)["counts"] == encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def test_a_polygon_may_leave_the_picture_a_little():
    assert drawn([box(-5, -5, 15, 15)]).sum() == 100


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "no polygon of three corners"),
        ([[1, 2, 3, 4]], "no polygon of three corners"),
        ([[1, 2, 3, 4, 5]], "not a list of finite numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "not a list of finite numbers"),
        ([["a"] * 6], "not a list of finite numbers"),
        ([[[1, 2], [3, 4], [5, 6]]], "not a list of finite numbers"),
        ([[0, 0, 1e9, 0, 0, 1e9]], "reaches from 0 to 1e"),
        (None, "NoneType, expected polygons or runs"),
        ("abc", "str, expected polygons or runs"),
        ({"size": [20, 31], "counts": [620]}, "of size .20, 31., expected .20, 30."),
        ({"size": [20, 30], "counts": [599]}, "fill 599 pixels, expected 20 x 30"),
        ({"size": [20, 30], "counts": [-1, 601]}, "neither a list of whole numbers"),
        ({"size": [20, 30], "counts": None}, "neither a list of whole numbers"),
        ({"size": [20, 30], "counts": "0"}, "runs"),
        ({"counts": [600]}, "size is None"),
    ],
)
def test_what_is_no_segmentation_is_named(segmentation, reason):
    with pytest.raises(ValueError, match=reason):
        drawn(segmentation)
