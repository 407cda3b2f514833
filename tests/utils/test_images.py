"""One decoder for whatever an image file holds."""

import io
import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shard_making import file_bytes, picture

from idiff.errors import BadSampleError
from idiff.utils.picture_files import decode_label, decode_picture, encode_png, picture_format, picture_size


def smooth(height=24, width=40):
    """An image that JPEG keeps well, different along both axes."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 9, x * 6, (x + y) * 3], axis=-1).astype(np.uint8)


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(width, height, depth, color, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_as_opencv_does(orientation):
    data = file_bytes(smooth(), "JPEG", quality=95, exif=exif(orientation))
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    got = decode_picture(data, where="x")
    assert got.shape == expected.shape
    assert np.abs(got.astype(int) - expected).mean() < 2
    assert picture_size(data, where="x") == got.shape[:2]


def test_png_orientation_is_obeyed_too():
    data = file_bytes(smooth(), "PNG", exif=exif(6))
    assert np.array_equal(decode_picture(data, where="x"), np.rot90(smooth(), -1))


def test_damaged_exif_is_no_orientation():
    data = file_bytes(smooth(), "JPEG", exif=b"Exif\x00\x00garbage that is no TIFF header")
    assert decode_picture(data, where="x").shape == (24, 40, 3)


def test_lossless_files_come_back_exactly():
    array = picture(1)
    for data in (encode_png(array), file_bytes(array, "WEBP", lossless=True)):
        assert np.array_equal(decode_picture(data, where="x"), array)
    assert encode_png(array) == encode_png(array.copy())


def test_grey_palette_and_bilevel_become_rgb():
    grey = picture(2)[..., 0]
    assert np.array_equal(decode_picture(file_bytes(grey, "PNG"), where="x"), np.repeat(grey[..., None], 3, axis=2))
    stream = io.BytesIO()
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.save(stream, "PNG")
    assert decode_picture(stream.getvalue(), where="x")[0].tolist() == [[10, 20, 30], [200, 100, 50]]
    bilevel = raw_png(8, 1, 1, 0, b"\x00\xf0")
    assert decode_picture(bilevel, where="x")[0, :, 0].tolist() == [255] * 4 + [0] * 4


def test_transparency_is_laid_over_white():
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    got = decode_picture(file_bytes(rgba, "PNG"), where="x")[0]
    assert got[:2].tolist() == [[200, 0, 0], [255, 255, 255]]
    assert np.abs(got[2].astype(int) - 127).max() <= 1


def test_sixteen_bits_keep_the_high_byte():
    values = np.array([[0, 255, 256, 0x1234, 0xFFFF]], np.uint16)
    ok, data = cv2.imencode(".png", values)
    assert ok
    assert decode_picture(data.tobytes(), where="x")[0, :, 0].tolist() == [0, 0, 1, 0x12, 0xFF]
    color = np.stack([values, values // 2, values // 4], axis=-1)
    ok, data = cv2.imencode(".png", color[..., ::-1])
    assert np.array_equal(decode_picture(data.tobytes(), where="x"), (color >> 8).astype(np.uint8))


def test_cmyk_becomes_the_rgb_that_opencv_sees():
    stream = io.BytesIO()
    Image.fromarray(smooth()).convert("CMYK").save(stream, "JPEG", quality=95)
    got = decode_picture(stream.getvalue(), where="x")
    assert np.abs(got.astype(int) - smooth()).mean() < 4


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9])
def test_cut_files_are_bad_samples(form, share):
    data = file_bytes(picture(3, 40, 60), form)
    with pytest.raises(BadSampleError, match=r"^s:k: source: "):
        decode_picture(data[: int(len(data) * share)], where="s:k")


def test_a_huge_picture_is_refused_by_its_header():
    side = 30_000
    data = raw_png(side, side, 1, 0, b"\x00" * ((side // 8 + 1) * side))  # 900 million pixels in about 110 kB
    assert len(data) < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for decode in (decode_picture, picture_size):
        with pytest.raises(BadSampleError, match="pixels, expected at most"):
            decode(data, where="s:k")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    with pytest.raises(BadSampleError, match=r"40x24 pixels, expected at most 900"):
        decode_picture(encode_png(smooth()), where="s:k", max_pixels=900)


@pytest.mark.parametrize("form", ["BMP", "GIF", "TIFF", "PPM", "EPS"])
def test_other_formats_are_refused(form):
    with pytest.raises(BadSampleError, match="expected a JPEG, PNG or WebP"):
        decode_picture(file_bytes(smooth(), form), where="s:k")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_picture_or_a_bad_sample(data):
    form = data.draw(st.sampled_from(["JPEG", "PNG", "WEBP"]))
    content = bytearray(file_bytes(smooth(), form))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        got = decode_picture(bytes(content), where="s:k", max_pixels=100_000)
    except BadSampleError:
        return
    assert got.dtype == np.uint8
    assert got.ndim == 3


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_way(data):
    for decode in (decode_picture, decode_label, picture_format):
        with pytest.raises(BadSampleError):
            decode(data, where="s:k")


def test_labels_are_values_of_grey_or_palette_files():
    values = np.array([[0, 3], [7, 255]], np.uint8)
    assert np.array_equal(decode_label(encode_png(values), where="x"), values)
    stream = io.BytesIO()
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    image.save(stream, "PNG", bits=2)
    assert decode_label(stream.getvalue(), where="x").tolist() == [[0, 1], [2, 1]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode_png(picture(0)), "8 bits and color type 2"),
        (raw_png(2, 1, 4, 0, b"\x00\x12"), "4 bits and color type 0"),
        (raw_png(1, 1, 16, 0, b"\x00\x00\x01"), "a PNG of 16 bits"),
        (file_bytes(picture(0)[..., 0], "JPEG"), "starts with"),
        (encode_png(picture(0)[..., 0])[:60], "cannot be decoded"),
    ],
)
def test_other_label_files_are_bad_samples(data, reason):
    with pytest.raises(BadSampleError, match=reason):
        decode_label(data, where="s:k")


@pytest.mark.parametrize(("form", "name"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_the_format_is_told_by_content(form, name):
    assert picture_format(file_bytes(smooth(), form), where="x") == name
