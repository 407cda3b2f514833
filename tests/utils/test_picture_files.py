import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from idiff.errors import BadSampleError, ConfigError
from idiff.utils.images import grid, to_picture, to_tensor, write_png
from idiff.utils.picture_files import decode_picture


def test_every_value_survives_the_round_trip():
    picture = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    image = to_tensor(picture)
    assert image.shape == (3, 16, 16) and image.dtype == torch.float32
    assert (image.min(), image.max()) == (-1, 1)
    assert np.array_equal(to_picture(image), picture)


def test_channels_and_rows_stay_in_place():
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[1, 2] = (255, 0, 0)
    assert to_tensor(picture)[:, 1, 2].tolist() == [1, -1, -1]


def test_out_of_range_is_clipped():
    image = torch.tensor([2.0, -3.0, float("nan")]).view(3, 1, 1)
    assert to_picture(image).ravel().tolist() == [255, 0, 128]


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4)])
def test_png_keeps_the_pixels(tmp_path, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = write_png(pixels, tmp_path / "new" / "folder", "a")
    assert np.array_equal(np.asarray(Image.open(path)), pixels)
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_png_of_a_mask(tmp_path):
    mask = np.eye(4, dtype=bool)
    assert np.array_equal(np.asarray(Image.open(write_png(mask, tmp_path, "mask"))), mask * 255)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "", "a\x00b", "x" * 5000, "🙂", "CON/.."])
def test_png_never_leaves_its_folder(tmp_path, name):
    path = write_png(np.zeros((2, 2), np.uint8), tmp_path / "in", name)
    assert path.resolve().parent == (tmp_path / "in").resolve()
    assert {file.name for file in tmp_path.iterdir()} == {"in"}


def test_png_into_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        write_png(np.zeros((2, 2), np.uint8), tmp_path / "file", "a")


def test_a_failed_png_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_png(np.full((2, 2), 7, np.uint8), tmp_path, "a")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_png(np.zeros((2, 2), np.uint8), tmp_path, "a")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert np.asarray(Image.open(path)).max() == 7


def test_grid_shows_each_picture_in_its_cell():
    red, blue = np.zeros((10, 20, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    page = grid([[red, blue], [blue]], ["one", "two"], ["first\nrow", "second " * 100], cell=80)
    assert page.dtype == np.uint8 and page.ndim == 3
    reds, blues = (page == (255, 0, 0)).all(-1), (page == (0, 0, 255)).all(-1)
    assert reds.sum() == 80 * 40  # shape kept, grown to the cell
    assert blues.sum() == 2 * 80 * 80
    columns = page.shape[1] // 2
    assert not reds[:, columns:].any() and blues[:, columns:].any() and blues[:, :columns].any()
    assert page.shape[0] > 2 * 80


@pytest.mark.parametrize("headers", [[], ["one"]])
def test_grid_refuses_more_pictures_than_headers(headers):
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ConfigError, match="headers"):
        grid([[picture, picture]], headers)
    with pytest.raises(ConfigError, match="captions"):
        grid([[picture]], ["a"], [])


def jpeg(mode: str = "RGB", *, turned: int = 1, **options) -> bytes:
    """A JPEG of 45 x 37 pixels of smooth noise."""
    coarse = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turned
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((37, 45)).convert(mode).save(stream, "JPEG", exif=exif, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [jpeg(), jpeg(subsampling=0, quality=30), jpeg(subsampling=1), jpeg(progressive=True), jpeg(restart_marker_rows=1),
     jpeg("L"), jpeg("CMYK"), jpeg(turned=6), jpeg(turned=2), jpeg() + bytes(9)],
    ids=["plain", "4:4:4", "4:2:2", "progressive", "restarts", "gray", "CMYK", "turned", "mirrored", "trailing"],
)  # fmt: skip
def test_an_intact_jpeg_has_the_values_of_any_other(data):
    usual = decode_picture(data, where="here")
    assert usual.std() > 20 and np.array_equal(decode_picture(data, where="here", intact=True), usual)


@pytest.mark.parametrize("left", [0.5, 0.9, 0.999])
def test_a_jpeg_that_breaks_off_is_refused_though_called_intact(left):
    data = jpeg()
    with pytest.raises(BadSampleError, match="here: source: cannot be decoded"):
        decode_picture(data[: int(left * len(data))], where="here", intact=True)
