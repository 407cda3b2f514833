"""Images, label maps, arrays, masks and members of zip files: any bytes end in a value or in a bad sample."""

import io
import os
import zipfile
import zlib

import numpy as np
import pytest
from fuzzing import any_bytes, budget, json_files, like, tried, variants
from hypothesis import given
from PIL import Image

from idiff.data.shards.schema import decode, decode_annotation
from idiff.data.sources.base import read_file
from idiff.data.sources.converting import read_label, read_picture
from idiff.data.sources.pictures import header_size
from idiff.data.sources.zips import MAX_BYTES, ZipReader
from idiff.errors import BadSampleError
from idiff.utils.array_files import decode_array
from idiff.utils.masks import decode_mask, encode_mask
from idiff.utils.picture_files import (
    decode_alpha,
    decode_label,
    decode_map,
    decode_picture,
    picture_format,
    picture_size,
)

COLORS = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
GRAY = COLORS[..., 0] % 5


def file_of(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


PHOTO = Image.fromarray(COLORS)
EXIF = PHOTO.getexif()
EXIF[0x0112] = 6
PALETTE = Image.fromarray(GRAY, "P")
PALETTE.putpalette([level for level in range(256) for _ in range(3)])
PICTURES = [
    file_of(PHOTO, "JPEG", exif=EXIF), file_of(PHOTO, "PNG"), file_of(PHOTO, "WEBP"), file_of(PHOTO.convert("CMYK"), "JPEG"),
    file_of(PHOTO.convert("RGBA"), "PNG"), file_of(PHOTO.convert("L"), "JPEG", progressive=True),
    file_of(PALETTE, "PNG", transparency=1),
    file_of(Image.fromarray(GRAY.astype(np.uint16) * 300), "PNG"), file_of(PHOTO.convert("1"), "PNG"),
    file_of(PHOTO, "WEBP", lossless=True),
]  # fmt: skip
MAPS = [
    file_of(Image.fromarray(GRAY), "PNG"),
    file_of(PALETTE, "PNG"),
    file_of(Image.fromarray(GRAY.astype(np.uint16)), "PNG"),
]
FOREIGN = [
    file_of(PHOTO, "BMP"), file_of(PHOTO, "TIFF"), file_of(PALETTE, "GIF"), file_of(Image.fromarray(GRAY), "BMP"),
    file_of(Image.fromarray(GRAY), "TIFF", compression="tiff_lzw"), file_of(PHOTO, "TIFF", compression="jpeg"),
    file_of(Image.fromarray(COLORS[..., 0].astype(np.float32)), "TIFF"), file_of(Image.fromarray(GRAY.astype(np.uint16)), "TIFF"),
]  # fmt: skip
ARRAYS = [npy(GRAY), npy(COLORS.astype(np.float64)), npy(np.asfortranarray(GRAY.astype(">i4"))), npy(GRAY > 2)]


@budget(3)
@given(any_bytes(*PICTURES))
def test_pictures(data):
    for each in variants(data):
        with tried("image: JPEG, PNG, WebP"):
            picture = decode_picture(each, where="x")
            assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
            assert picture.shape[:2] == picture_size(each, where="x")


@budget(1)
@given(any_bytes(*PICTURES))
def test_what_headers_and_transparency_say(data):
    for each in variants(data):
        with tried("image: size, format, transparency"):
            assert picture_format(each, where="x") in {"jpg", "png", "webp"}
            alpha = decode_alpha(each, where="x")
            assert alpha is None or alpha.shape == picture_size(each, where="x")


@budget(2)
@given(any_bytes(*MAPS))
def test_label_maps(data):
    for each in variants(data):
        with tried("label map, 8 and 16 bits"):
            labels = decode_map(each, where="x", field="label")
            assert labels.ndim == 2 and labels.dtype in (np.uint8, np.uint16)
            assert decode_label(each, where="x").dtype == np.uint8


@budget(2)
@given(any_bytes(*ARRAYS))
def test_arrays(data):
    for each in variants(data):
        with tried("array: .npy"):
            array = decode_array(each, where="x", field="depth")
            assert array.ndim in (2, 3) and array.dtype.kind in "biuf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@budget(2)
@given(data=any_bytes(*FOREIGN))
def test_files_that_are_converted(folder, data):
    for each in variants(data):
        (folder / "a").write_bytes(each)
        with tried("image: BMP, TIFF, GIF"):
            assert read_picture(folder / "a", where="x", field="source") is not None
        with tried("label map: BMP, TIFF, GIF"):
            read_label(folder / "a", where="x")
        with tried("image: size of a file"):
            header_size(folder / "a")


META = {
    "skeletons": {"face": {"joints": ["nose", "chin"], "pairs": [], "sigmas": [0.05, 0.05]}},
    "classes": ["a", "b", "c", "d", "e"],
}
FACTS = {
    "instances": [
        {"category": "face", "keypoints": [[1, 2, 2], [3, 4, 1]], "box": [0, 0, 5, 5], "area": 10.0, "id": 4,
         "mask": encode_mask(GRAY > 2)},
        {"category": "car", "mask": {"size": [9, 12], "counts": encode_mask(GRAY > 3)["counts"]}},
    ],
    "phrases": [{"text": "the nose", "instances": [0]}], "captions": ["a"], "instruction": "b",
}  # fmt: skip


@budget(3)
@given(json_files(FACTS))
def test_annotations(data):
    for each in variants(data):
        with tried("annotation of a sample"):
            decode_annotation(each, where="x", meta=META)


@budget(1)
@given(like(META), json_files(FACTS), any_bytes(*PICTURES), any_bytes(*MAPS), any_bytes(*ARRAYS))
def test_samples(meta, facts, picture, label, array):
    members = {"source.png": picture, "annotation.json": facts, "label.png": label, "depth.npy": array}
    with tried("sample of a shard"):
        decode(members, key="k", where="x", meta=meta if isinstance(meta, dict) else META)
    members = {"source.png": PICTURES[1], "annotation.json": facts, "label.png": MAPS[0]}
    with tried("sample of a shard"):
        decode(members, key="k", where="x", meta=meta if isinstance(meta, dict) else META)


@budget(1)
@given(like(encode_mask(GRAY > 2)))
def test_masks(value):
    with tried("run-length mask"):
        try:
            mask = decode_mask(value)
        except ValueError as error:
            raise BadSampleError("x", "mask", str(error)) from None
        assert mask.dtype == bool and mask.ndim == 2


def zipped(way):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", way) as file:
        file.writestr("0/a.png", PICTURES[1])
        file.writestr("0/prompt.json", b'{"edit": "b"}' * 40)
    return stream.getvalue()


ZIPS = [zipped(way) for way in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)]


@budget(2)
@given(data=any_bytes(*ZIPS))
def test_zip_files(folder, data):
    for each in variants(data):
        file = folder / "a.zip"
        file.unlink(missing_ok=True)
        file.write_bytes(each)
        with tried("zip: members"):
            reader = ZipReader()
            for name in reader.names(file)[:3]:
                assert len(reader.read(file, name, where="x", field="source")) <= MAX_BYTES


def test_a_member_is_bounded_whatever_size_it_states(folder, monkeypatch):
    monkeypatch.setattr("idiff.data.sources.zips.MAX_BYTES", 1 << 20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(4 << 20))
    data = bytearray(stream.getvalue())
    size, whole = (4 << 20).to_bytes(4, "little"), (8).to_bytes(4, "little")
    (folder / "big.zip").write_bytes(data)
    (folder / "says8.zip").write_bytes(bytes(data).replace(size, whole))
    for name, reason in (("big", "expected at most"), ("says8", "cannot be unpacked")):
        with pytest.raises(BadSampleError, match=reason):
            ZipReader().read(folder / f"{name}.zip", "a", where="x", field="source")


def test_a_pipe_is_refused_and_never_waited_for(folder):
    os.mkfifo(folder / "pipe")
    for read in (read_file, read_picture):
        with pytest.raises(BadSampleError, match="it is a pipe or a device, expected a file"):
            read(folder / "pipe", where="x", field="source")
    with pytest.raises(BadSampleError, match="pipe"):
        ZipReader().read(folder / "pipe", "a", where="x", field="source")
    assert header_size(folder / "pipe") is None
    with pytest.raises(BadSampleError, match="it is a folder, expected a file"):
        read_file(folder, where="x", field="source")


def test_a_palette_that_is_missing_is_a_bad_sample():
    start = MAPS[1].index(b"PLTE") - 4
    length = int.from_bytes(MAPS[1][start : start + 4], "big") + 12
    without = MAPS[1][:start] + MAPS[1][start + length :]
    for read in (decode_picture, decode_label):
        with pytest.raises(BadSampleError, match="its palette is missing"):
            read(without, where="x")
    assert zlib.crc32(b"IEND").to_bytes(4, "big") in without
