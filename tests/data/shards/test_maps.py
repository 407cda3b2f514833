"""Label maps of 16 bits and named maps of numbers: into shards and back, counted, shown, and refused where unsound."""

import io

import numpy as np
import pytest
from numpy.lib import format as npy
from PIL import Image
from shard_making import members, picture, write_tar

from idiff.cli import main
from idiff.curation.quality.filtered import Chosen
from idiff.curation.stats import stats
from idiff.data.build import build
from idiff.data.build.foreign import index_folder
from idiff.data.shards import index
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.data.shards.schema import MAX_MAPS, encode
from idiff.data.sources.base import RawSample, Source
from idiff.errors import BadSampleError, DataError
from idiff.tasks.common.view import needed_map
from idiff.transforms.frames import frame_whole
from idiff.transforms.geometry import warp_map
from idiff.types import Sample
from idiff.utils.array_files import decode_array, encode_array
from idiff.utils.picture_files import decode_map, encode_png

SHAPE = (6, 9)


def ramp(dtype, *more):
    return np.arange(np.prod((*SHAPE, *more))).reshape(*SHAPE, *more).astype(dtype)


MAPS = {
    "depth": ramp(np.uint16) * 900, "weight": np.where(ramp(np.int8) % 5 == 0, np.nan, ramp(np.float32)),
    "flow": ramp(np.float16, 2), "seen": ramp(np.int8) % 2 == 0, "height": ramp(np.int32) - 20,
}  # fmt: skip


class Mapped(Source):
    tasks = ("depth",)

    def meta(self):
        return {"classes": [f"class {number}" for number in range(400)]}

    def __len__(self):
        return 3

    def sample(self, index):
        label = np.full(SHAPE, 65535, np.uint16)
        label[:, 0] = 399
        depth = encode_png(MAPS["depth"]) if index else MAPS["depth"]  # the bytes of a file, or an array
        maps = MAPS | {"depth": depth} if index < 2 else {}
        return RawSample(f"k{index}", picture(index), {}, label=label, maps=maps)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mapped")
    build(Mapped(), folder, name="mapped", split="val", shard_size=2)
    return ShardSet.open(folder, verify=True)


def test_maps_and_wide_labels_come_back(shards):
    for number in range(2):
        sample = shards.read(number)
        assert sample.label.dtype == np.uint16 and set(np.unique(sample.label)) == {399, 65535}
        assert sorted(sample.maps) == sorted(MAPS)
        for name, values in MAPS.items():
            assert sample.maps[name].dtype == values.dtype
            assert np.array_equal(sample.maps[name], values, equal_nan=name == "weight")
    assert shards.read_members(0)["depth.png"] == shards.read_members(1)["depth.png"]
    assert shards.read(2).maps == {}


def test_an_index_has_places_for_the_maps_of_its_own_shard(shards):
    assert set(MAPS) < set(shards.rows(0).dtype.names)
    assert shards.rows(1).dtype == index.row_dtype(2)


def test_commands_know_maps(shards, capsys, tmp_path):
    folder = str(shards.folder)
    assert list(check(folder)) == []
    told = stats(shards)
    assert told["maps"]["depth"] == {"samples": 2, "types": ["uint16"], "lowest": 0, "highest": 900 * 53}
    assert told["maps"]["weight"]["lowest"] == 1.0
    assert told["classes"]["class 399"] == {"pixel_share": 1.0, "pictures": 3}
    assert told["void_share"] == pytest.approx(8 / 9, abs=1e-6)
    assert main(["data", "browse", folder, "--out", str(tmp_path / "sheet.png")]) == 0
    shown = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    assert (np.ptp(shown, axis=2) == 0).mean() > 0.5


def test_filtered_sets_keep_their_maps(shards):
    kept = Chosen(shards, np.array([1]), steps={}).sample(0)
    assert encode(kept, where="k1", meta=shards.meta) == shards.read_members(1)


def with_header(dtype, shape, data=b"", fortran=False):
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": fortran, "shape": shape})
    return stream.getvalue() + data


def pickled():
    stream = io.BytesIO()
    np.save(stream, np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (with_header("<f4", (1 << 40, 1 << 40)), "0 bytes after its header, expected 4,835"),
        (with_header("<f4", (6, 9), b"\0" * 215), "215 bytes after its header, expected 216"),
        (with_header("<f4", (6, 9), b"\0" * 217), "217 bytes after its header"),
        (with_header("<f4", (54,), b"\0" * 216), r"got float32 of shape \(54,\)"),
        (with_header("<f4", (6, 9, 1, 1), b"\0" * 216), "expected numbers"),
        (with_header("<f4", (-6, -9), b"\0" * 216), "expected numbers"),
        (with_header("<f4", (0, 9)), "expected numbers"),
        (with_header("<c8", (6, 9), b"\0" * 432), "got complex64"),
        (with_header("<U2", (6, 9), b"\0" * 432), "got <U2"),
        (with_header("<f16", (6, 9), b"\0" * 864), "got float128"),
        (with_header([("a", "<f4")], (6, 9), b"\0" * 216), "expected numbers"),
        (pickled(), "got object"),
        (b"\x93NUMPY\x09\x00aa", "cannot be read as an .npy file"),
        (b"\x93NUMPY\x01\x00\xff\xff", "cannot be read as an .npy file"),
        (with_header("<f4", (6, 9)).replace(b"descr", b"de(cr"), "cannot be read as an .npy file"),
        (b"\x80\x04N.", "starts with"),
        (encode_array(np.zeros((5, 9), np.float32), where="", field=""), "9x5 pixels, expected 9x6"),
        (encode_png(picture(0)), "expected a gray PNG of 8 or 16 bits"),
    ],
)  # fmt: skip
def test_unsound_maps_are_named(tmp_path, data, reason):
    write_tar(tmp_path / "x.tar", [*members("a"), ("a.depth.npy", data), *members("b")])
    index_folder(tmp_path, meta={}, tasks=["depth"])
    with pytest.raises(BadSampleError, match=rf"x\.tar:a: depth: .*{reason}"):
        ShardSet.open(tmp_path).read(0)
    assert len(list(check(tmp_path))) == 1
    with pytest.raises(BadSampleError, match=reason):
        encode(RawSample("a", picture(0), {}, maps={"depth": data}), where="a", meta={})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", ">i2"])
def test_arrays_of_other_programs_are_read(dtype, order):
    stream = io.BytesIO()
    npy.write_array(stream, np.asarray(ramp("f4"), dtype=dtype, order=order), version=(2, 0))
    read = decode_array(stream.getvalue(), where="", field="")
    assert read.dtype.isnative and read.flags.c_contiguous and read.flags.writeable and np.array_equal(read, ramp("f4"))


@pytest.mark.parametrize("name", ["label", "source", "instances", "key", "Depth", "de.pth", "../x", "", "9x", "a" * 33])
def test_names_of_maps_are_checked(name):
    sample = RawSample("a", picture(0), {}, maps={name: MAPS["depth"]})
    with pytest.raises(BadSampleError, match="not a name for a map"):
        encode(sample, where="a", meta={})


def test_too_many_maps_are_refused(tmp_path):
    many = [f"m{number}" for number in range(MAX_MAPS + 1)]
    with pytest.raises(BadSampleError, match="got 17, expected at most 16"):
        encode(RawSample("a", picture(0), {}, maps=dict.fromkeys(many, MAPS["depth"])), where="a", meta={})
    data = encode_png(MAPS["depth"])
    write_tar(tmp_path / "x.tar", [*members("a"), *((f"a.{name}.png", data) for name in many[:16])])
    index_folder(tmp_path, meta={}, tasks=["depth"])  # the most that there may be can be indexed and read
    header = (tmp_path / "x.index.npy").stat().st_size - ShardSet.open(tmp_path).rows(0).nbytes
    assert header < index.LARGEST_HEADER
    (tmp_path / "manifest.json").unlink()
    write_tar(tmp_path / "x.tar", [*members("a"), *((f"a.{name}.png", data) for name in many)])
    with pytest.raises(DataError, match="17 different maps"):
        index_folder(tmp_path, meta={}, tasks=["depth"])


def test_labels_of_16_bits_are_checked_against_the_classes():
    sample = RawSample("a", picture(0), {}, label=np.full(SHAPE, 400, np.uint16))
    with pytest.raises(BadSampleError, match="label: value 400, expected 0 to 299 or 65535 for void"):
        encode(sample, where="a", meta={"classes": ["x"] * 300})
    assert np.array_equal(decode_map(encode_png(MAPS["depth"]), where="", field=""), MAPS["depth"])


def test_a_map_follows_its_image():
    values = ramp(np.float32)[:5]
    drawn = warp_map(values, frame_whole(values.shape, 9, mirror=True), 9, outside=np.nan)
    assert drawn.dtype == np.float32 and np.isnan(drawn).sum() == 36
    rows = np.isfinite(drawn).all(axis=1)
    assert np.array_equal(drawn[rows], values[:, ::-1])
    flow = warp_map(ramp(np.int16, 2)[:5], frame_whole(values.shape, 9), 9, outside=-1)
    assert flow.shape == (9, 9, 2) and set(np.unique(flow)) == {-1, *range(90)}


@pytest.mark.parametrize("maps", [{}, {"depth": np.zeros((3, 3))}, {"depth": ramp(np.float32, 1)}])
def test_a_missing_map_is_a_bad_sample(maps):
    with pytest.raises(BadSampleError, match="depth: got"):
        needed_map(Sample("a", picture(0), {}, maps=maps), "depth")
