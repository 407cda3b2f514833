"""Answers lie on the image pixel on pixel: same size, no shift, no seam, and what was not edited stays to the bit."""

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.registration import phase_cross_correlation
from test_pipeline import here, model  # noqa: F401 - fixtures

from idiff import Pipeline
from idiff.cli import main
from idiff.errors import ConfigError
from idiff.pipeline.pieces import native_window, tile_windows
from idiff.utils.painting import PALETTES, rgb_values

SIZES = [(64, 64), (97, 65), (1080, 1920), (400, 33), (40, 40), (33, 400)]
WAYS = [{}, {"tile": True}, {"native": True}]


def scenery(height, width, *, seed=0, step=1.0):
    """A smooth image with detail of 5 to 20 pixels; `step` times as large, so that it survives being shrunk by it."""
    rng = np.random.default_rng(seed)
    drawn = np.zeros((height, width, 3), np.float32)
    for cell in (5 * step, 10 * step, 20 * step):
        grid = rng.normal(size=(int(height / cell) + 3, int(width / cell) + 3, 3)).astype(np.float32)
        large = cv2.resize(grid, None, fx=cell, fy=cell, interpolation=cv2.INTER_CUBIC)
        y, x = (int(value) for value in rng.integers(0, int(cell), 2))
        drawn += large[y : y + height, x : x + width]
    return np.clip(128 + 28 * drawn, 0, 255).astype(np.uint8)


def detail(size, way):
    """How much larger the detail must be: the whole image is fitted into 64 pixels where nothing else is asked."""
    return 1.0 if way else max(1.0, max(size) / 64)


def shift(one, other):
    """How far `other` lies beside `one`, (y, x) in pixels: the peak of the correlation, to a fiftieth of a pixel."""
    window = np.outer(np.hanning(one.shape[0] + 2)[1:-1], np.hanning(one.shape[1] + 2)[1:-1])
    grey = [(picture.astype(float).mean(axis=2) - picture.mean()) * window for picture in (one, other)]
    found, _, _ = phase_cross_correlation(*grey, upsample_factor=50, normalization=None)
    return -np.asarray(found)


@pytest.fixture
def pipe(model):  # noqa: F811
    """A pipeline whose model paints the source as it is, without its autoencoder."""
    made = Pipeline(model, steps=1)
    made.backbone.edit = lambda source, instruction, **_: source.clone()
    made.backbone.autoencoder.render = lambda pixels: pixels
    return made


@pytest.fixture(scope="module")
def real():
    """The real autoencoder, and an edit that paints what it renders."""
    made = Pipeline("tiny", steps=1)
    made.backbone.edit = lambda source, instruction, **_: made.backbone.autoencoder.render(source)
    return made


def test_a_shift_would_be_measured():
    picture = scenery(97, 65)
    for dx, dy in ((0.5, 0), (0, -0.3), (1.0, 1.0)):
        moved = cv2.warpAffine(
            picture,
            np.array([[1, 0, dx], [0, 1, dy]]),
            (65, 97),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        assert shift(picture, moved) == pytest.approx([dy, dx], abs=0.1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_an_edit_that_changes_nothing_is_not_shifted(pipe, size, way):
    picture = scenery(*size, step=detail(size, way))
    if "native" in way and size[0] * size[1] > 1 << 20:
        with pytest.raises(ConfigError, match="1920 x 1080 pixels: expected 1,048,576 or fewer"):
            pipe.edit(picture, "Do nothing.", **way)
        return
    made = pipe.edit(picture, "Do nothing.", **way).overlay
    assert made.shape == picture.shape
    if way or size == (64, 64):  # nothing is resized
        assert np.abs(made.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("size", [size for size in SIZES if max(size) < 1000])
def test_a_fitted_picture_is_not_shifted(pipe, size):
    pictures = [scenery(*size, seed=seed, step=detail(size, {})) for seed in range(6)]
    found = [shift(picture, pipe.edit(picture, "Do nothing.").overlay) for picture in pictures]
    assert np.abs(np.mean(found, axis=0)).max() < 0.1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("axis", [0, 1])
def test_a_slope_is_where_it_was(pipe, size, axis):
    """A slope survives any resizing, so that a shift is the change of brightness over the slope. One that rises and one that
    falls tell it from a change of brightness itself."""
    place = np.mgrid[: size[0], : size[1]][axis]
    noise = np.random.default_rng(0).normal(0, 4, (*size, 3))  # so that rounding averages out
    slope = 200 / size[axis]
    margin = [slice(None), slice(None)]
    margin[axis] = slice(size[axis] // 4, -(size[axis] // 4))
    changes = []
    for sign in (1, -1):
        ideal = 128 + sign * slope * (place - (size[axis] - 1) / 2)
        picture = np.clip(np.rint(ideal[..., None] + noise), 0, 255).astype(np.uint8)
        change = pipe.edit(picture, "Do nothing.").overlay.astype(float) - picture
        changes.append(change[tuple(margin)].mean())
    assert abs(changes[1] - changes[0]) / (2 * slope) < 0.1


@pytest.mark.parametrize("size", SIZES)
def test_a_restoration_that_changes_nothing_is_the_picture(pipe, size):
    picture = scenery(*size)
    assert np.abs(pipe.restore(picture, "denoise").overlay.astype(int) - picture).max() <= 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_the_real_autoencoder_does_not_shift(real, size, way):
    """Its errors look like shifts of either sign: a shift of all images is what counts. They grow as an image is shrunk."""
    if size[0] * size[1] > 1 << 20:
        pytest.skip("minutes of painting")
    found = []
    for seed in range(6):
        picture = scenery(*size, seed=seed, step=detail(size, way))
        made = real.edit(picture, "Do nothing.", **way).overlay
        assert made.shape == picture.shape
        found.append(shift(picture, made))
    assert np.abs(np.mean(found, axis=0)).max() < 0.1 * detail(size, way)


@pytest.mark.parametrize("size", SIZES)
def test_pasted_back_a_picture_that_was_not_edited_is_itself(real, size):
    picture = scenery(*size)
    assert np.array_equal(real.edit(picture, "Do nothing.", keep_unedited=True).overlay, picture)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 65), (480, 640)])
def test_a_mask_lies_on_the_picture(pipe, height, width):
    """The left part of what the model sees is painted: the mask's edge lies there in the original, to a pixel of the model."""
    step = max(height, width) / 64
    edge = round((64 - width / step) / 2 + 0.4 * width / step)

    def paint(source, instruction, **_):
        name = next(name for name in PALETTES["saturated"] if f" {name}" in instruction[0])
        painted = source.clone()
        color = rgb_values([PALETTES["saturated"][name]]).view(3, 1, 1)
        painted[..., :edge] = 0.3 * source[..., :edge] + 0.7 * color
        return painted

    pipe.backbone.edit = paint
    mask = pipe.segment(scenery(height, width), "the left part").mask
    assert mask.shape == (height, width)
    assert np.abs(mask.sum(axis=1) - 0.4 * width).max() <= step
    assert mask[:, : int(0.4 * width - step)].all()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_what_the_edit_left_alone_stays_to_the_bit(pipe, way):
    """A model that paints a dark square into the middle; the rest it only makes a little lighter."""

    def paint(source, instruction, **_):
        painted = source + 5 / 127.5
        painted[..., 24:40, 24:40] = -1
        return painted

    pipe.backbone.edit = paint
    picture = np.random.default_rng(0).integers(60, 196, (200, 300, 3)).astype(np.uint8)
    blurred = pipe.edit(picture, "Paint it dark.", **way).overlay
    kept = pipe.edit(picture, "Paint it dark.", keep_unedited=True, **way).overlay
    same = (kept == picture).all(axis=2)
    assert 0.3 < same.mean() < 0.995
    assert (blurred == picture).all(axis=2).mean() < 0.01
    dark = (kept < 10).all(axis=2)
    assert dark.sum() >= 0.9 * (blurred < 10).all(axis=2).sum() > 0
    strict = pipe.edit(picture, "Paint it dark.", keep_unedited=True, threshold=3, **way).overlay
    assert (strict == picture).all(axis=2).mean() < same.mean()


def gradients(picture, columns):
    """Mean change from column to column at some columns, and at all others."""
    change = np.abs(np.diff(picture.astype(float), axis=1)).mean(axis=(0, 2))
    chosen = np.zeros(len(change), bool)
    chosen[columns] = True
    return change[chosen].mean(), change[~chosen].mean()


@pytest.mark.parametrize("task", ["edit", "restore"])
def test_no_seam_is_seen_where_tiles_meet(pipe, task):
    """A model that makes every second tile lighter by 30 gray levels."""

    def paint(source, instruction, **_):
        lighter = torch.arange(len(source)) % 2 * 30 / 127.5
        return source + lighter[:, None, None, None]

    pipe.backbone.edit = paint
    picture = scenery(64, 400)
    made = pipe.edit(picture, "x", tile=True) if task == "edit" else pipe.restore(picture, "denoise")
    windows, _ = tile_windows((64, 400), 64)
    edges = [window.left - 1 for window in windows[1:]] + [window.left + 63 for window in windows[:-1]]
    seam, inside = gradients(made.overlay, edges)
    assert seam <= 1.1 * inside
    change = made.overlay.astype(int) - picture
    assert change.max() >= 28 and change.min() <= 1  # the tiles do differ
    assert np.abs(np.diff(change.mean(axis=(0, 2)))).max() < 30 / 16 + 1


def test_no_seam_is_seen_behind_the_real_autoencoder(real):
    picture = scenery(64, 400)
    windows, _ = tile_windows((64, 400), 64)
    edges = [window.left - 1 for window in windows[1:]] + [window.left + 63 for window in windows[:-1]]
    seam, inside = gradients(real.edit(picture, "x", tile=True).overlay, edges)
    before, around = gradients(picture, edges)
    assert seam / inside < 1.1 * before / around


def test_a_whole_picture_at_its_own_size_is_a_multiple_of_the_factor():
    window = native_window((97, 65), 4)
    assert (window.height, window.width) == (100, 68) and -4 < window.top <= 0 and -4 < window.left <= 0
    assert native_window((64, 128), 8) == (0, 0, 64, 128)


def test_the_real_network_paints_at_any_size(model):  # noqa: F811
    picture = scenery(41, 90)
    answer = Pipeline(model, steps=1).edit(picture, "Make it blue.", native=True)
    assert answer.overlay.shape == picture.shape and not np.array_equal(answer.overlay, picture)
    assert answer.prompts == ["Make it blue."] and answer.score is None


def test_tiles_and_own_size_exclude_each_other_and_thresholds_are_checked(pipe):
    for ask in (
        lambda **way: pipe.edit(scenery(64, 64), "x", **way),
        lambda **way: pipe.restore(scenery(64, 64), "denoise", **way),
    ):
        with pytest.raises(ConfigError, match="choose one of them"):
            ask(tile=True, native=True)
    for threshold in (0, 256, float("nan")):
        with pytest.raises(ConfigError, match="at most 255 gray levels"):
            pipe.edit(scenery(64, 64), "x", keep_unedited=True, threshold=threshold)


@pytest.mark.parametrize(
    "command", [["edit", "Make it blue."], ["segment", "the star"], ["restore", "denoise"], ["keypoints", "nose"]]
)
def test_every_command_writes_a_png_of_the_size_of_the_picture(here, model, command, capsys):  # noqa: F811
    for number, (height, width) in enumerate([(65, 97), (40, 40), (33, 140)]):
        Image.fromarray(scenery(height, width)).save(f"p{number}.jpg")
        assert (
            main([command[0], f"p{number}.jpg", command[1], "--checkpoint", model, "--steps", "1", "--out", "out"]) == 0
        )
        for path in (here / "out").glob(f"p{number}_*.png"):
            assert path.read_bytes().startswith(b"\x89PNG")
            large = path.stem.endswith(("_segment", "_keypoints"))  # drawn for people
            assert (max(Image.open(io.BytesIO(path.read_bytes())).size) >= 512) == large
            assert large or Image.open(io.BytesIO(path.read_bytes())).size == (width, height)
        assert not [path for path in (here / "out").iterdir() if path.suffix in {".jpg", ".jpeg"}]


def test_the_commands_take_the_ways(here, model, capsys):  # noqa: F811
    Image.fromarray(scenery(80, 150)).save("b.png")
    words = ["edit", "b.png", "Make it blue.", "--checkpoint", model, "--steps", "1"]
    pipe = Pipeline(model, steps=1)
    for number, (more, way) in enumerate([
        (["--tile"], {"tile": True}),
        (["--native"], {"native": True}),
        (["--paste-back"], {"keep_unedited": True}),
        (["--paste-back", "--threshold", "60", "--tile"], {"keep_unedited": True, "threshold": 60, "tile": True}),
    ]):  # fmt: skip
        assert main([*words, *more, "--out", f"out{number}"]) == 0
        made = np.asarray(Image.open(here / f"out{number}" / "b_edit.png"))
        assert np.array_equal(made, pipe.edit("b.png", "Make it blue.", **way).overlay)
    for more, sentence in (
        (["--tile", "--native"], "not allowed with"),
        (["--threshold", "9"], "give --paste-back as well"),
        (["--paste-back", "--threshold", "0"], "at most 255 gray levels"),
    ):
        capsys.readouterr()
        assert main([*words, *more, "--out", "refused"]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["segment", "b.png", "the star", "--checkpoint", model, "--tile"]) == 2
