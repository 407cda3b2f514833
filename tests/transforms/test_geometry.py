import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.transforms import geometry
from idiff.transforms.frames import frame_whole
from idiff.transforms.geometry import (
    GREY,
    chain,
    inside,
    invert,
    mirrors,
    move_points,
    similarity,
    unwarp,
    warp_labels,
    warp_picture,
)

POINTS = np.array([[0.0, 0.0], [10.0, 3.0], [-4.0, 7.5]])
matrices = st.builds(
    similarity,
    st.tuples(st.floats(-50, 200), st.floats(-50, 200)),
    st.floats(2, 400),
    st.just(64),
    degrees=st.floats(-180, 180),
    mirror=st.booleans(),
)


@given(matrices)
def test_there_and_back(matrix):
    assert np.allclose(move_points(move_points(POINTS, matrix), invert(matrix)), POINTS, atol=1e-6)
    assert np.allclose(chain(matrix, invert(matrix)), np.eye(2, 3), atol=1e-6)


@given(matrices)
def test_centre_goes_to_the_middle_and_lengths_scale(matrix):
    moved = move_points(POINTS, matrix)
    ratio = np.linalg.norm(moved[1] - moved[0]) / np.linalg.norm(POINTS[1] - POINTS[0])
    assert ratio == pytest.approx(np.sqrt(abs(np.linalg.det(matrix[:, :2]))), rel=1e-6)


def test_similarity_by_hand():
    # A turn clockwise as seen moves what is right of the centre to below it.
    matrix = similarity((10.0, 20.0), 64, 64, degrees=90)
    assert np.allclose(move_points(np.array([[10.0, 20.0], [15.0, 20.0]]), matrix), [[31.5, 31.5], [31.5, 36.5]])
    mirrored = similarity((31.5, 31.5), 64, 64, mirror=True)
    assert np.allclose(move_points(np.array([[0.0, 5.0], [10.0, 5.0]]), mirrored), [[63.0, 5.0], [53.0, 5.0]])
    assert mirrors(mirrored) and not mirrors(matrix)


@pytest.mark.parametrize("turned", [0.0, 30.0])
def test_the_way_back_is_the_inverse(turned):
    for side in (3, 225, 768, 1001):
        matrix = similarity((0.7 * side, 0.2 * side), side, 256, degrees=turned, mirror=side > 500)
        linear = np.linalg.inv(matrix[:, :2])
        expected = np.column_stack([linear, -linear @ matrix[:, 2]])
        assert np.allclose(invert(matrix), expected, rtol=1e-12, atol=1e-10)
        assert turned or np.array_equal(invert(matrix), expected)  # a pixel on the border of two labels keeps its label
    with pytest.raises(ZeroDivisionError):
        invert(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]]))


def test_points_keep_their_other_columns():
    moved = move_points(np.array([[1.0, 2.0, 2.0], [np.nan, 0.0, 1.0]]), similarity((0, 0), 32, 64))
    assert moved[:, 2].tolist() == [2.0, 1.0] and np.isnan(moved[1, 0])


def test_same_size_is_the_same_picture():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    assert np.array_equal(warp_picture(picture, frame_whole((64, 64), 64), 64), picture)
    assert np.array_equal(warp_labels(picture[..., 0], frame_whole((64, 64), 64), 64), picture[..., 0])
    mirrored = frame_whole((64, 64), 64, mirror=True)
    assert np.array_equal(warp_picture(picture, mirrored, 64), picture[:, ::-1])
    assert np.array_equal(warp_labels(picture[..., 0], mirrored, 64), picture[:, ::-1, 0])


@pytest.mark.parametrize("factor", [2, 3, 4, 7, 16])
def test_whole_shrinking_is_the_area_mean(factor):
    side = 64 * factor
    picture = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    drawn = warp_picture(picture, frame_whole((side, side), 64), 64)
    expected = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)
    difference = np.abs(drawn.astype(int) - expected)
    # 7 is not a multiple of the supersampling: a mean all the same, over shifted cells.
    assert difference.max() <= (1 if factor in {2, 3, 4} else 14) and difference.mean() < 5


@pytest.mark.parametrize("side", [128, 256, 300, 1000])
@pytest.mark.parametrize("degrees", [0, 30])
def test_fine_stripes_do_not_alias(side, degrees):
    picture = np.zeros((side, side, 3), np.uint8)
    picture[:, ::2] = 255
    drawn = warp_picture(picture, similarity(((side - 1) / 2,) * 2, side * 0.7, 64, degrees=degrees), 64)
    plain = cv2.warpAffine(picture, similarity(((side - 1) / 2,) * 2, side * 0.7, 64, degrees=degrees), (64, 64))
    assert abs(drawn[8:-8, 8:-8].mean() - 127.5) < 3
    assert drawn[8:-8, 8:-8].std() < (plain[8:-8, 8:-8].std() * 0.6 if side < 200 else 26)


@settings(max_examples=60, deadline=None)
@given(matrices, st.integers(0, 1000))
def test_picture_labels_and_points_move_together(matrix, seed):
    """A bright square is found where its centre was moved to, in the image and in the label map."""
    rng = np.random.default_rng(seed)
    picture, labels = np.zeros((150, 180, 3), np.uint8), np.zeros((150, 180), np.uint8)
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    half = max(1, min(12, round(5 / scale)))
    x, y = rng.integers(half, 180 - half), rng.integers(half, 150 - half)
    picture[y - half : y + half + 1, x - half : x + half + 1] = 255
    labels[y - half : y + half + 1, x - half : x + half + 1] = 7
    (place,) = move_points(np.array([[x, y]], float), matrix)
    reach = scale * half * 1.5 + 2
    if not (reach < place[0] < 63 - reach and reach < place[1] < 63 - reach):
        return
    drawn = (warp_picture(picture, matrix, 64)[..., 0] > 127) & inside(matrix, 64, (150, 180))
    if scale * (2 * half + 1) < 3:
        return
    found = warp_labels(labels, matrix, 64) == 7
    for mask in (drawn, found):
        rows, columns = np.nonzero(mask)
        assert np.hypot(columns.mean() - place[0], rows.mean() - place[1]) < 0.75


def test_what_lies_beyond_is_padding():
    picture = np.full((20, 40, 3), 200, np.uint8)
    matrix = frame_whole((20, 40), 64)
    drawn, labels = warp_picture(picture, matrix, 64), warp_labels(np.ones((20, 40), np.uint8), matrix, 64)
    seen = inside(matrix, 64, (20, 40))
    assert seen.sum() == 64 * 32
    assert (drawn[seen] == 200).all() and (drawn[~seen] == GREY).all()
    assert (labels[seen] == 1).all() and (labels[~seen] == 255).all()
    away = similarity((1000, 1000), 10, 64)
    assert (warp_picture(picture, away, 64) == GREY).all() and (warp_labels(labels, away, 64) == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (60, 3000), (3000, 60), (1, 500), (500, 1)])
def test_odd_shapes(shape):
    picture = np.full((*shape, 3), 9, np.uint8)
    matrix = frame_whole(shape, 64)
    drawn = warp_picture(picture, matrix, 64)
    seen = inside(matrix, 64, shape)
    assert (drawn[seen] == 9).all() and (drawn[~seen] == GREY).all()
    assert seen.any() == (min(shape) / max(shape) * 64 >= 1)  # thinner than a pixel of the model is not seen


@pytest.mark.parametrize("original", [(64, 64), (100, 80), (240, 320), (30, 50)])
def test_unwarp_undoes_the_frame(original):
    matrix = frame_whole(original, 64)
    rows, columns = np.mgrid[0 : original[0], 0 : original[1]].astype(np.float64)
    truth = np.stack([columns / original[1], rows / original[0]])
    u, v = np.meshgrid(np.arange(64.0), np.arange(64.0))
    back = move_points(np.column_stack([u.ravel(), v.ravel()]), invert(matrix))
    maps = torch.from_numpy((back / (original[1], original[0])).T.reshape(2, 64, 64)).float()
    restored = unwarp(maps, matrix, original)
    assert restored.shape == (2, *original)
    edge = max(1, round(max(original) / 64))
    inner = (slice(None), slice(edge, -edge), slice(edge, -edge))
    assert np.allclose(restored.numpy()[inner], truth[inner], atol=1e-3)


def test_unwarp_takes_a_query_matrix():
    maps = torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(unwarp(maps, frame_whole((16, 16), 16).tolist(), (16, 16)), maps, atol=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize(
    ("original", "side", "size"), [((48, 64), 48, 32), ((48, 64), 48, 21), ((60, 60), 60, 13), ((9, 9), 4, 4)]
)
def test_whole_pixels_are_drawn_as_any_view_is(original, side, size, mirror, monkeypatch):
    """The faster way of views that are not turned and begin and end between pixels."""
    x, y = np.meshgrid(np.arange(original[1]), np.arange(original[0]))
    picture = np.stack([3 * x, 4 * y, x + 2 * y], axis=-1).astype(np.uint8)
    matrix = (
        similarity((2 + (side - 1) / 2, (side - 1) / 2), side, size, mirror=mirror)
        if side < 60
        else frame_whole(original, size, mirror=mirror)
    )
    fast = warp_picture(picture, matrix, size)
    monkeypatch.setattr(geometry, "_block", lambda *_: None)
    assert np.abs(fast.astype(int) - warp_picture(picture, matrix, size)).max() <= 2
    assert np.ptp(fast[..., 0].astype(int)) > 3 and bool(fast[0, 0, 0] > fast[0, -1, 0]) == mirror
