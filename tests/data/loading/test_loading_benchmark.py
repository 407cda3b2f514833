"""The benchmark of reading runs, and reading keeps up with decoding where that binds."""

import pytest
from scripts import load_script

from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet


@pytest.fixture(scope="module")
def loading():
    return load_script("benchmarks/loading.py")


def test_reading_keeps_up_with_decoding(loading, tmp_path):
    """The goal is 0.7 of bare decoding; the bound here leaves room for a busy machine."""
    build(loading.Photos(20, 480, 640), tmp_path, name="photos", split="train", shard_size=8)
    found = loading.measure(ShardSet.open(tmp_path), count=20, rounds=5)
    assert found["megapixels"] == pytest.approx(0.3072)
    assert 0.5 < found["ratio"] < 1.2
