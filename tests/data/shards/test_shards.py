"""Shards: what is written comes back, and what is damaged is named and never taken for another sample."""

import io
import json
import pickle
import tarfile
from multiprocessing import get_context

import numpy as np
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from shard_making import SKELETONS, ToySource, instance, members, picture, write_tar

from idiff.data.build.builder import build
from idiff.data.build.foreign import index_folder
from idiff.data.shards import index, manifest
from idiff.data.shards.annotation import canonical_json
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.utils.masks import encode_mask
from idiff.utils.picture_files import encode_png

COUNT, SHARD = 7, 3


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    build(ToySource(COUNT), folder, name="toy", split="val", shard_size=SHARD)
    return folder


@pytest.fixture
def copy(built, tmp_path):
    """A copy that may be damaged."""
    for file in built.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


def same(sample, place):
    expected = ToySource(COUNT).sample(place)
    return (
        sample.key == expected.key
        and np.array_equal(sample.image, picture(place))
        and np.array_equal(sample.label, expected.label)
        and sample.annotation == expected.annotation
    )


def test_samples_come_back(built):
    shards = ShardSet.open(built, verify=True)
    assert len(shards) == COUNT
    assert [shards.key(place) for place in range(COUNT)] == [f"k{place:04d}" for place in range(COUNT)]
    assert all(same(shards.read(place), place) for place in range(COUNT))
    assert shards.read(0).meta == ToySource().meta()
    assert list(check(built)) == []


def test_webdataset_reads_the_same_bytes(built):
    shards = ShardSet.open(built)
    urls = [str(built / shard.name) for shard in shards.manifest.shards]
    stream = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
    rows = [{name: value for name, value in row.items() if not name.startswith("__")} for row in stream]
    assert rows == [shards.read_members(place) for place in range(COUNT)]


@pytest.mark.parametrize(("unit", "count"), [("picture", 7), ("instances", 6), ("phrases", 0)])
def test_items_are_counted_and_located(built, unit, count):
    shards = ShardSet.open(built)
    assert shards.count(unit) == count
    lists = [range(place % 3) if unit == "instances" else range(unit == "picture") for place in range(COUNT)]
    expected = [(place, item) for place, items in enumerate(lists) for item in items]
    assert [shards.locate(unit, i) for i in range(count)] == expected
    for outside in (-1, count):
        with pytest.raises(IndexError):
            shards.locate(unit, outside)


def test_an_unknown_unit_is_named(built):
    with pytest.raises(ConfigError, match="did you mean 'instances'"):
        ShardSet.open(built).count("instance")


def test_the_manifest_keeps_its_contract(built):
    value = json.loads((built / "manifest.json").read_text())
    assert {"schema", "source", "split", "tasks", "samples", "items", "shards", "fingerprint"} <= set(value)
    assert (value["source"], value["split"], value["tasks"]) == ("toy", "val", ["keypoints", "segmentation"])
    assert (value["samples"], value["items"], value["units"]) == (7, 6, {"picture": 7, "instances": 6})
    assert all({"name", "size", "sha256", "samples"} <= set(shard) for shard in value["shards"])
    assert ShardSet.open(built).fingerprint == value["fingerprint"]


def _read_key(job):
    shards, place = job
    return shards.read(place).key


def test_a_set_travels_to_workers(built):
    shards = ShardSet.open(built)
    shards.read(0)
    assert len(pickle.dumps(shards)) < 3000
    with get_context("fork").Pool(2) as pool:
        assert pool.map(_read_key, [(shards, place) for place in range(COUNT)]) == [f"k{i:04d}" for i in range(COUNT)]


def damage_is_found(folder, shards, name):
    """After damage to shard `name`: check names it, open refuses or reads name what they cannot give."""
    lines = list(check(folder))
    assert lines
    assert all(name.removesuffix(".tar") in line for line in lines), lines
    for place in range(COUNT):
        try:
            assert same(shards.read(place), place), "another sample was returned"
        except BadSampleError as error:
            assert error.where == f"{name}:k{place:04d}"
            assert any(line.startswith(error.where) for line in lines)
    with pytest.raises(DataError, match=name):
        ShardSet.open(folder, verify=True)


@pytest.mark.parametrize("cut", [0, 1, 511, 512, 513, 1024, 1500, 2048, 3000, 4096, 5000, -10240, -1])
def test_a_cut_shard_is_named(copy, cut):
    shards = ShardSet.open(copy)
    path = copy / "val-000001.tar"
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    damage_is_found(copy, shards, path.name)
    with pytest.raises(DataError, match=r"val-000001\.tar has .* bytes, expected"):
        ShardSet.open(copy)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_a_flipped_byte_is_named(built, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    for file in built.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    shards = ShardSet.open(folder)
    path = folder / "val-000000.tar"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    damage_is_found(folder, shards, path.name)


def test_every_header_flip_ends_the_strict_walk(copy):
    path = copy / "val-000000.tar"
    whole = path.read_bytes()
    for member in list(index.scan(path)):
        for place in (0, 100, 124, 148, 156, 257):  # name, mode, size, checksum, type, magic
            content = bytearray(whole)
            content[member.offset - 512 + place] ^= 1
            path.write_bytes(content)
            with pytest.raises(DataError, match=r"val-000000\.tar"):
                index.build(path, meta=ToySource().meta())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_index_or_manifest_is_refused(built, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("index")
    for file in built.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    path = folder / data.draw(st.sampled_from(["val-000001.index.npy", "manifest.json"]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        shards = ShardSet.open(folder)
    except DataError:
        assert list(check(folder))
        return
    assert (
        path.name == "manifest.json"
    )  # a changed name of the source or a step of the filter report: no sample is touched
    assert all(same(shards.read(place), place) for place in range(COUNT))


@pytest.mark.parametrize("name", ["../val-000000.tar", "pipe:cat x.tar", "/etc/x.tar", "val-000000.zip"])
def test_a_manifest_cannot_name_other_files(copy, name):
    contents = manifest.load(copy)
    contents.shards[0].name = name
    contents.save(copy)
    with pytest.raises(DataError, match="not a plain file name"):
        ShardSet.open(copy)


def test_another_schema_version_is_refused(copy):
    value = json.loads((copy / "manifest.json").read_text()) | {"schema": 99}
    (copy / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(DataError, match="has schema 99, this version reads 1"):
        ShardSet.open(copy)


@pytest.mark.parametrize("gone", ["val-000001.tar", "val-000001.index.npy", "manifest.json"])
def test_a_missing_file_is_named(copy, gone):
    (copy / gone).unlink()
    with pytest.raises(DataError, match=gone):
        ShardSet.open(copy)


def test_an_index_with_a_pickle_runs_nothing(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    path = copy / "val-000000.index.npy"
    np.save(path, np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be used as an index"):
        index.load(path)
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="cannot be used as an index"):
        index.load(path)
    assert not (tmp_path / "ran").exists()


META = {"skeletons": SKELETONS}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "no sample in it"),
        ([*members("a"), *members("b"), *members("a")], "key 'a' appears twice"),
        ([*members("a"), *members("a")], "two members for 'annotation'"),
        (members("a")[:1], "no member a.source.jpg"),
        (members("a")[1:], "no member a.annotation.json"),
        (members("../a"), "not of this schema|key '../a'"),
        (members("a b"), "key 'a b'"),
        (members("k" * 81), "expected 1 to 80"),
        ([*members("a"), ("a.extra.pickle", b"x")], "a.extra.pickle' is not of this schema"),
        ([*members("a"), ("a.pyd", b"x")], "a.pyd' is not of this schema"),
        ([*members("a"), ("pipe:touch ran.source.png", b"x")], "key 'pipe:touch ran'"),
        ([*members("a"), ("a.target.pth", b"x")], "a.target.pth' is not of this schema"),
        ([("a.annotation.json", b"[1]"), *members("a")[1:]], "a list, expected an object"),
        ([("a.annotation.json", b"\xff\xfe"), *members("a")[1:]], "not JSON"),
        ([("a.annotation.json", b'{"x": NaN}'), *members("a")[1:]], "NaN is not JSON"),
        ([("a.annotation.json", b"[" * 100_000), *members("a")[1:]], "nested too deeply|not JSON"),
    ],
)
def test_foreign_shards_are_checked_when_indexed(tmp_path, content, reason):
    write_tar(tmp_path / "x.tar", content)
    with pytest.raises(DataError, match=reason):
        index_folder(tmp_path, meta=META, tasks=["editing"])
    assert not (tmp_path / "manifest.json").exists()


def test_links_in_a_shard_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        link = tarfile.TarInfo("a.source.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DataError, match="not a plain file"):
        index_folder(tmp_path, meta=META, tasks=["editing"])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_sound_foreign_shards_are_indexed(tmp_path, form):
    with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
        for name, data in [*members("a", 1), *members("b", 2, instances=[instance(0)])]:
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mtime = len(data), 1.5
            tar.addfile(info, io.BytesIO(data))
    contents = index_folder(tmp_path, meta=META)
    assert (contents.tasks, contents.unit, contents.samples, contents.items) == (["keypoints"], "instances", 2, 1)
    shards = ShardSet.open(tmp_path, verify=True)
    assert np.array_equal(shards.read(1).image, picture(2))
    assert list(check(tmp_path)) == []
    with pytest.raises(ConfigError, match="delete it to index anew"):
        index_folder(tmp_path, meta=META)


def test_a_key_in_two_foreign_shards_is_refused(tmp_path):
    for name in ("x.tar", "y.tar"):
        write_tar(tmp_path / name, members("a"))
    with pytest.raises(DataError, match="1 keys appear twice, such as 'a'"):
        index_folder(tmp_path, meta={}, tasks=["editing"])


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"instances": {}}, "'instances' is an object, expected a list"),
        ({"instances": [3]}, r"annotation\.instances\[0\]: a number, expected an object"),
        ({"instances": [instance(0) | {"box": [0, 0, 1]}]}, "'box' is"),
        ({"instances": [instance(0) | {"box": [0, 0, 0, 1]}]}, "'box' is"),
        ({"instances": [instance(0) | {"area": "1"}]}, "'area' is"),
        ({"instances": [instance(0) | {"id": True}]}, "'id' is true or false"),
        ({"instances": [instance(0) | {"keypoints": [[1, 2, 3], [1, 2, 2]]}]}, "v 0, 1 or 2"),
        ({"instances": [instance(0) | {"keypoints": [[1, 2, 2]]}]}, "1 keypoints, expected 2"),
        ({"instances": [instance(0) | {"category": "dog"}]}, "no skeleton for the category 'dog'"),
        ({"instances": [{"mask": [[0, 0], [5, 5]]}]}, r"annotation\.instances\[0\]: 'mask': the size is None"),
        ({"instances": [{"mask": {"size": [6, 9], "counts": "f0"}}]}, "'mask': the runs do not fill 6 x 9"),
        ({"phrases": [{"text": 3}]}, r"annotation\.phrases\[0\]: expected an object with the string 'text'"),
        ({"phrases": [{"text": "a", "instances": [0]}]}, "indices of the 0 instances"),
    ],
)
def test_annotation_fields_are_checked(tmp_path, facts, reason):
    write_tar(tmp_path / "x.tar", members("a", **facts))
    with pytest.raises(BadSampleError, match=rf"x\.tar:a: annotation.*{reason}|x\.tar:a: {reason}"):
        index_folder(tmp_path, meta=META, tasks=["keypoints"])


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (("a.source.png", b"\x89PNG\r\n\x1a\n no"), "a: source: cannot be decoded"),
        (("a.label.png", encode_png(np.zeros((5, 9), np.uint8))), "a: label: 9x5 pixels, expected 9x6"),
        (("a.label.png", encode_png(np.full((6, 9), 2, np.uint8))), "a: label: value 2, expected 0 to 1"),
        (("a.target.png", encode_png(picture(0, 7, 9))), "a: target: 9x7 pixels, expected 9x6"),
        (
            ("a.annotation.json", canonical_json({"instances": [{"mask": encode_mask(np.ones((9, 6), bool))}]})),
            r"a: annotation.instances\[0\].mask: the size is \[9, 6\], expected \[6, 9\]",
        ),
    ],
)
def test_pictures_are_checked_by_check_and_read(tmp_path, extra, reason):
    content = dict(members("a")) | dict([extra])
    write_tar(tmp_path / "x.tar", [*content.items(), *members("b", 5)])
    index_folder(tmp_path, meta={"classes": ["no", "yes"]}, tasks=["editing"])
    assert len(lines := list(check(tmp_path))) == 1
    shards = ShardSet.open(tmp_path)
    with pytest.raises(BadSampleError, match=reason) as caught:
        shards.read(0)
    assert lines == [str(caught.value)]
    assert np.array_equal(shards.read(1).image, picture(5))


def test_canonical_json_depends_on_the_value_alone():
    assert canonical_json({"b": 1, "a": "ü"}) == canonical_json({"a": "ü", "b": 1}) == '{"a":"ü","b":1}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(float("nan"))


@pytest.mark.parametrize("marker", [0xC4, 0xDA, 0xD8])
def test_a_broken_jpeg_of_a_set_that_was_only_indexed_is_refused(tmp_path, marker):
    stream = io.BytesIO()
    Image.fromarray(picture(0)).resize((37, 45)).save(stream, "JPEG")
    data, middle = stream.getvalue(), len(stream.getvalue()) - len(stream.getvalue()) // 4
    broken = data[:middle] + bytes([0xFF, marker]) + data[middle + 2 :]
    facts = [(f"{key}.annotation.json", b"{}") for key in "ab"]
    write_tar(tmp_path / "x.tar", [facts[0], ("a.source.jpg", broken), facts[1], ("b.source.jpg", data)])
    index_folder(tmp_path, meta={}, tasks=["denoise"])
    shards = ShardSet.open(tmp_path)
    with pytest.raises(BadSampleError, match=r"x\.tar:a: source: cannot be decoded"):
        shards.read(0)
    assert shards.read(1).image.shape == (45, 37, 3)
