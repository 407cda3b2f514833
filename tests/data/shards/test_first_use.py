"""The indices of a large set are checked when they are first used, and no less strictly."""

import json
import pickle

import numpy as np
import pytest
from shard_making import ToySource

from idiff.data.build.builder import build
from idiff.data.shards import index, manifest, reader
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.errors import DataError


@pytest.fixture
def large(monkeypatch):
    """Every set counts as a large one."""
    monkeypatch.setattr(manifest, "AT_ONCE", 0)


@pytest.fixture
def folder(tmp_path, large):
    build(ToySource(7), tmp_path, name="toy", split="val", shard_size=3)
    return tmp_path


def without_lists(folder):
    """Make the manifest that of a version which did not count the items of each shard."""
    path = folder / manifest.NAME
    value = json.loads(path.read_bytes())
    assert value.pop("lists") == {"instances": [3, 3, 0]}
    path.write_text(json.dumps(value))


def places(shards):
    return [shards.locate(unit, i) for unit in ("picture", "instances") for i in range(shards.count(unit))]


def test_it_reads_as_a_small_one(folder, monkeypatch):
    found = ShardSet.open(folder)
    there = pickle.loads(pickle.dumps(found))
    got = [(shards.key(6), len(shards.read(6).annotation["instances"]), places(shards)) for shards in (found, there)]
    monkeypatch.undo()
    small = ShardSet.open(folder)
    assert got == [(small.key(6), len(small.read(6).annotation["instances"]), places(small))] * 2


def test_a_damaged_index_is_named_when_it_is_used(folder):
    table = folder / "val-000001.index.npy"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    shards = ShardSet.open(folder)
    assert shards.read(0).key == "k0000"
    for each in (shards, pickle.loads(pickle.dumps(shards))):
        for _ in range(2):
            with pytest.raises(DataError, match=r"val-000001\.index\.npy is damaged: SHA-256"):
                each.read(3)
    without_lists(folder)
    with pytest.raises(DataError, match=r"val-000001\.index\.npy is damaged: SHA-256"):
        ShardSet.open(folder)


@pytest.mark.parametrize("gone", ["val-000001.tar", "val-000001.index.npy"])
def test_a_missing_file_is_named_at_once(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(DataError, match=gone):
        ShardSet.open(folder)


def test_wrong_counts_of_a_manifest_are_refused(folder):
    contents = manifest.load(folder)
    contents.lists = {"instances": [2, 4, 0]}
    contents.save(folder)
    with pytest.raises(DataError, match="item counts of manifest"):
        ShardSet.open(folder).read(0)
    assert any("item counts" in line for line in check(folder))
    contents.lists = {"instances": [2, 3, 0]}
    contents.save(folder)
    with pytest.raises(DataError, match="do not add up"):
        ShardSet.open(folder)


def test_an_older_manifest_is_read(folder):
    newer = places(ShardSet.open(folder))
    without_lists(folder)
    assert places(ShardSet.open(folder)) == newer
    assert not list(check(folder))


def changed(folder, change):
    """Write the manifest with a change."""
    path = folder / manifest.NAME
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize("images", [4, 99])
def test_images_that_are_not_its_samples_are_damage(folder, images):
    changed(folder, lambda value: value["units"].update(picture=images))
    with pytest.raises(DataError, match=f"{images} images in 'units', 7 samples"):
        ShardSet.open(folder)


def test_more_samples_than_can_be_are_damage(folder):
    def change(value):
        more = 2**80
        value["samples"] += more
        value["units"]["picture"] += more
        value["items"] = value["units"][value["unit"]]
        value["shards"][0]["samples"] += more

    changed(folder, change)
    with pytest.raises(DataError, match="is damaged"):
        ShardSet.open(folder)


def test_verify_reads_the_indices_too(folder):
    table = folder / "val-000001.index.npy"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"val-000001\.index\.npy is damaged: SHA-256"):
        ShardSet.open(folder, verify=True)


def test_an_index_that_changed_since_is_named(folder):
    shards = ShardSet.open(folder)
    shards.read(3)
    reader._mapped.clear()
    table = folder / "val-000001.index.npy"
    index.write(table, np.array(index.load(table)[:1]))
    with pytest.raises(DataError, match="1 samples in its index, expected 3"):
        shards.read(5)
