"""Images at their own shape: sizes by the released rule, and answers that lie on the original pixel on pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from idiff.tasks.common.view import whole_view
from idiff.transforms.frames import frame_middle, frame_native, native_size
from idiff.transforms.geometry import extent, inside, invert, move_points, seen_part, seen_slices, unwarp
from idiff.utils.images import to_picture, to_tensor


def released(width, height, resolution):
    """The rule as the released command line has it."""
    factor = resolution / max(width, height)
    factor = math.ceil(min(width, height) * factor / 64) * 64 / min(width, height)
    return int((width * factor) // 64) * 64, int((height * factor) // 64) * 64


@pytest.mark.parametrize(
    ("original", "size", "expected"),
    [((512, 512), 512, (512, 512)), ((1080, 1920), 512, (320, 512)), ((480, 640), 512, (384, 512)),
     ((640, 480), 256, (256, 192)), ((300, 2000), 512, (128, 832)), ((50, 50), 256, (256, 256))],
)  # fmt: skip
def test_sizes_are_multiples_of_64(original, size, expected):
    assert native_size(original, size) == expected


@given(st.integers(16, 4000), st.integers(16, 4000), st.sampled_from([64, 128, 256, 512, 768]))
def test_sizes_are_those_of_the_released_rule(width, height, size):
    wide, high = released(width, height, size)
    assert native_size((height, width), size) == (max(64, high), max(64, wide))


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (333, 500), (100, 100), (37, 211)])
def test_the_image_is_fitted_as_pil_does(shape):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    view = whole_view(picture, 128, frame="native64")
    wide, high = released(shape[1], shape[0], 128)
    theirs = ImageOps.fit(Image.fromarray(picture), (wide, high), Image.Resampling.LANCZOS)
    assert np.array_equal(to_picture(view.source), np.asarray(theirs)) and bool(view.seen.all())


@pytest.mark.parametrize("shape", [(90, 160), (160, 90), (100, 100), (90, 400)])
@pytest.mark.parametrize("frame", ["letterbox", "crop", "native64"])
def test_gradients_come_back_to_their_places(shape, frame):
    """What is seen lies where it was, to a fraction of a pixel: brightness that rises evenly says where."""
    x, y = np.meshgrid(np.linspace(0, 250, shape[1]), np.linspace(0, 250, shape[0]))
    picture = np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8)
    view = whole_view(picture, 256, frame=frame)
    back, seen = unwarp(view.source, view.matrix, shape), seen_part(view.matrix, view.size, shape)
    shift = (back - to_tensor(picture))[:2].numpy() * 127.5  # gray levels
    inner = seen.copy()
    inner[[0, 1, -2, -1]] = inner[:, [0, 1, -2, -1]] = False
    rows, columns = seen_slices(view.matrix, view.size, shape)
    inner[[rows.start, rows.stop - 1]] = inner[:, [columns.start, columns.stop - 1]] = False
    assert np.abs(shift[0][inner]).max() < 1.5 and abs(shift[0][inner].mean()) * shape[1] / 250 < 0.5
    assert np.abs(shift[1][inner]).max() < 1.5 and abs(shift[1][inner].mean()) * shape[0] / 250 < 0.5


def test_a_native_frame_loses_less_than_a_step_of_64_pixels():
    for shape in [(90, 160), (333, 500), (37, 211), (2000, 300)]:
        matrix, size = frame_native(shape, 256)
        assert inside(matrix, size, shape).all()
        corners = move_points(np.array([[-0.5, -0.5], [shape[1] - 0.5, shape[0] - 0.5]]), matrix)
        beyond = np.concatenate([-0.5 - corners[0], corners[1] - np.array([size[1] - 0.5, size[0] - 0.5])])
        assert beyond.min() > -1e-6 and beyond.max() < 32 + 1e-6


def test_the_middle_square_is_as_wide_as_the_shorter_side():
    matrix = frame_middle((90, 160), 64)
    low, high = invert(matrix) @ [-0.5, -0.5, 1], invert(matrix) @ [63.5, 63.5, 1]
    assert low == pytest.approx([34.5, -0.5]) and high == pytest.approx([124.5, 89.5])
    rows, columns = seen_slices(matrix, 64, (90, 160))
    assert (rows, columns) == (slice(0, 90), slice(35, 125))
    assert extent(64) == (64, 64) and extent((3, 4)) == (3, 4)
