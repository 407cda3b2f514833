"""Shards, indices and manifests: any bytes end in whole samples, in bad samples by name, or in an error of ours."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fuzzing import any_bytes, budget, changed, json_files, mutants, tried, variants
from hypothesis import given
from hypothesis import strategies as st
from shard_making import ToySource

from idiff.data.build.builder import build
from idiff.data.build.foreign import read_meta
from idiff.data.build.slices import read_done
from idiff.data.latent_cache.format import LatentCache
from idiff.data.loading import sequential
from idiff.data.shards import index, manifest
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, DataError

SHARD = "train-000000.tar"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A built set, and its files' bytes by name."""
    folder = tmp_path_factory.mktemp("good") / "set"
    build(ToySource(count=5), folder, name="toy", split="train")
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    samples = [ShardSet.open(folder).read(place) for place in range(5)]
    (shard,) = (name for name in files if name.endswith(".tar"))
    return SimpleNamespace(folder=folder, files=files, samples=samples, shard=shard, index=index.index_name(shard))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tried")


def packed(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


ODD = [
    packed(("k1.source.png", b"x", {"pax_headers": {"GNU.sparse.map": "0,1,9999999999,1", "GNU.sparse.size": "99999999999"}})),
    packed(("k1.source.png", b"x", {"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}})),
    packed(("k1.source.png", b"x", {"pax_headers": {"size": "99999999999"}})),
    packed(("k1.source.png", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
    packed(("k" * 3000 + ".source.png", b"x", {})),
]  # fmt: skip


def of_the_set(good):
    return st.one_of(
        mutants(good.files[good.shard]), mutants(good.files[good.shard]), any_bytes(good.files[good.shard], *ODD)
    )


def test_tar_files(good, place):
    @budget(3)
    @given(of_the_set(good))
    def property_(data):
        for each in variants(data):
            (place / "a.tar").write_bytes(each)
            with tried("shard: tar, indexed"):
                rows = index.build(place / "a.tar", meta=ToySource().meta())
                assert len(set(map(index.key_of, rows))) == len(rows)

    property_()


def test_indices(good, place):
    (place / "i").mkdir(exist_ok=True)
    (place / "i" / good.shard).write_bytes(good.files[good.shard])

    @budget(3)
    @given(any_bytes(good.files[good.index]))
    def property_(data):
        for each in variants(data):
            file = place / "i" / f"{hash(each) & 0xFF}.npy"
            file.unlink(missing_ok=True)  # an earlier one may be mapped
            file.write_bytes(each)
            with tried("index of a shard"):
                rows = index.load(file)
                with (place / "i" / good.shard).open("rb") as stream:
                    for row in rows[:8]:
                        index.read_members(stream, row, where=index.key_of(row))

    property_()


def test_manifests(good, place):
    value = json.loads(good.files[manifest.NAME])
    (place / "m").mkdir(exist_ok=True)

    @budget(3)
    @given(json_files(value))
    def property_(data):
        for each in variants(data):
            (place / "m" / manifest.NAME).write_bytes(each)
            with tried("manifest.json"):
                manifest.load(place / "m")
            (place / "m" / "a.done").write_bytes(each)
            read_done(place / "m" / "a.tar")
            with tried("facts of a set, --meta"):
                read_meta(place / "m" / "a.done")

    property_()


def test_no_changed_file_gives_another_sample(good, place):
    """Each of the files is changed in turn, its checksum in the manifest with it or not: what is read is what was written."""

    @budget(1)
    @given(st.sampled_from((good.shard, good.index)), st.integers(0, 2**48), st.booleans())
    def property_(name, seed, signed):
        folder = place / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        data = changed(good.files[name], seed)
        for file, content in good.files.items():
            (folder / file).write_bytes(data if file == name else content)
        if signed:  # whoever changed the file can change its checksum, too
            _sign(folder)
        with tried("set of shards"):
            shards = ShardSet.open(folder)
            for number in range(len(shards)):
                try:
                    sample = shards.read(number)
                except BadSampleError:
                    continue
                if not signed:
                    assert sample.key == good.samples[number].key
                    assert np.array_equal(sample.image, good.samples[number].image)
                    assert sample.annotation == good.samples[number].annotation
        with tried("data check"):
            assert list(check(folder)) or data == good.files[name] or signed

    property_()


def _sign(folder):
    path = folder / manifest.NAME
    value = json.loads(path.read_bytes())
    entry = value["shards"][0]
    made = manifest.Shard(**entry)
    from idiff.utils.files import sha256_file

    made.size, made.sha256 = (folder / made.name).stat().st_size, sha256_file(folder / made.name)
    made.index_sha256 = sha256_file(folder / index.index_name(made.name))
    contents = manifest.Manifest(
        **{name: value[name] for name in value.keys() & manifest.Manifest.__dataclass_fields__.keys()}
    )
    contents.shards, contents.funnel = [made], dict(value["funnel"])
    contents.save(folder)


def test_shards_in_order(good, place):
    data = good.files[good.shard]
    whole = {sample.key: sample for sample in good.samples}

    @budget(2)
    @given(of_the_set(good))
    def property_(data):
        for each in variants(data):
            (place / "s.tar").write_bytes(each)
            with tried("shard: tar, in order"):
                for raw in sequential._open([str(place / "s.tar")], buffer=1, seed=0):
                    assert isinstance(raw["__key__"], str)

    property_()
    end = len(data.rstrip(b"\0"))  # what follows is padding and the end mark
    for cut in (*range(0, end, 211), end - 1, end, -(-end // 512) * 512):
        (place / "s.tar").write_bytes(data[:cut])
        with pytest.raises(DataError, match="cannot be read to its end"):
            list(sequential._open([str(place / "s.tar")], buffer=1, seed=0))
    for at in range(0, end, 512):
        if data[at + 257 : at + 262] == b"ustar":
            for broken in (data[:at] + bytes(512) + data[at + 512 :], data[: at + 3] + b"\x80" + data[at + 4 :]):
                (place / "s.tar").write_bytes(broken)
                with pytest.raises(DataError, match="cannot be read to its end"):
                    list(sequential._open([str(place / "s.tar")], buffer=1, seed=0))
    (place / "s.tar").write_bytes(data)
    assert {raw["__key__"] for raw in sequential._open([str(place / "s.tar")], buffer=1, seed=0)} == whole.keys()


def test_an_index_that_names_other_places_is_found(good, place):
    folder = place / "moved"
    shutil.copytree(good.folder, folder)
    file = folder / good.index
    rows = np.array(np.load(file))
    for name, change in (
        ("key", lambda rows: rows["key"].__setitem__(1, b"other")),
        ("exchanged", lambda rows: rows["source"].__setitem__([0, 1], rows["source"][[1, 0]])),
        ("../x", lambda rows: rows["key"].__setitem__(2, b"../x")),
    ):
        made = rows.copy()
        change(made)
        file.unlink()
        np.save(file, made)
        _sign(folder)
        said = "\n".join(check(folder))
        assert {"key": "in the index, and not in the tar", "exchanged": "the index says", "../x": "expected 1 to 80"}[
            name
        ] in said


def test_latent_caches(place):
    folder = place / "cache"
    part = folder / "part-00000"
    part.mkdir(parents=True)
    arrays = {
        "mean": np.zeros((2, 4, 2, 2), np.float16),
        "std": np.ones((2, 4, 2, 2), np.float16),
        "prompt": np.array([0, 1], np.int32),
    }
    for name, array in arrays.items():
        np.save(part / f"{name}.npy", array)
    np.save(folder / "states.npy", np.zeros((2, 3, 4), np.float16))
    described = {"instruction": "a", "key": "k", "query": {}, "names": None}
    (part / "rows.jsonl").write_text(f"{json.dumps(described)}\n" * 2)
    (part / "names.json").write_text("[]")
    from idiff.data.latent_cache import format as caches

    fields = {
        name: {"items": 2, "views": 1, "rows": 2, "parts": [2]}.get(name, {})
        for name in caches.CacheManifest.__dataclass_fields__
    }
    value = fields | {"schema": caches.SCHEMA}
    (folder / caches.NAME).write_text(json.dumps(value))
    assert LatentCache(folder).example(1).prompt == 1
    files = {Path("rows.jsonl"), Path("names.json"), *map(Path, (f"{name}.npy" for name in arrays))}
    good_files = {file: (part / file).read_bytes() for file in files}

    @budget(0.5)
    @given(json_files(value), st.sampled_from(sorted(files)), st.integers(0, 2**48))
    def property_(data, name, seed):
        (folder / caches.NAME).write_bytes(data)
        with tried("latent cache: manifest"):
            LatentCache(folder)
        (folder / caches.NAME).write_text(json.dumps(value))
        (part / name).unlink()
        (part / name).write_bytes(changed(good_files[name], seed))
        with tried("latent cache: rows and arrays"):
            LatentCache(folder).example(1)
        (part / name).unlink()
        (part / name).write_bytes(good_files[name])

    property_()
