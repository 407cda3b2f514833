"""The memory of a process that reads does not grow with the set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shard_making import ToySource

from idiff.data.build.builder import build
from idiff.data.build.slices import describe
from idiff.data.shards import index
from idiff.data.shards.manifest import Manifest
from idiff.data.shards.reader import ShardSet

READ = """
import sys
from pathlib import Path
from idiff.data.shards.overlap import same_code
from idiff.data.shards.reader import ShardSet
def own():  # KiB that belong to this process alone; mapped files are not counted
    return int(next(line for line in Path("/proc/self/status").read_text().split("\\n") if "RssAnon" in line).split()[1])
val = ShardSet.open(sys.argv[2])
def growth(folder):
    before = own()
    shards = ShardSet.open(folder)
    count = shards.count("instances")
    for place in range(200):
        sample, _ = shards.locate("instances", place * count // 200)
        shards.read(sample)
    same_code(shards, val)
    return own() - before
growth(sys.argv[1])
print([growth(folder) for folder in sys.argv[3:]])
"""


def large(small: ShardSet, folder, *, shards: int, rows: int) -> None:
    """A set of `shards` x `rows` samples that all lie at the place of one sample. Its files are links to two."""
    entry = small.manifest.shards[1]
    table = np.repeat(np.array(small.rows(1)[:1]), rows)
    folder.mkdir()
    (folder / "val-000000.tar").write_bytes((small.folder.path / entry.name).read_bytes())
    index.write(folder / "val-000000.index.npy", table)
    first = describe(folder / "val-000000.tar", rows)
    entries = []
    for number in range(shards):
        name = f"val-{number:06d}"
        if number:
            os.link(folder / "val-000000.tar", folder / f"{name}.tar")
            os.link(folder / "val-000000.index.npy", folder / f"{name}.index.npy")
        entries.append(type(first)(f"{name}.tar", first.size, first.sha256, rows, first.index_sha256))
    units = {"picture": rows * shards, "instances": rows * shards * int(table["instances"][0])}
    meta = small.manifest.meta
    Manifest("toy", "val", ["keypoints"], "instances", rows * shards, units, meta, entries).save(folder)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which is Linux's")
def test_memory_is_flat_in_the_size_of_the_set(tmp_path):
    build(ToySource(9), tmp_path / "small", name="toy", split="val", shard_size=2)
    build(ToySource(9, bad=(2,)), tmp_path / "other", name="toy", split="val")
    small = ShardSet.open(tmp_path / "small")
    large(small, tmp_path / "few", shards=2, rows=100)
    large(small, tmp_path / "many", shards=40, rows=25_000)
    assert ShardSet.open(tmp_path / "many").count("picture") == 1_000_000
    words = [sys.executable, "-c", READ, *(str(tmp_path / name) for name in ("small", "other", "few", "many"))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    few, many = json.loads(done.stdout)
    assert many - few < 3_000  # KiB; one number of 8 bytes a sample would be 7,800, the index in memory 85,000


MANY = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from idiff.data.shards.reader import ShardSet
sets = [ShardSet.open(folder) for folder in sys.argv[1:]]
for number in range(300):
    each = sets[number % 2]
    each.read(each.locate("instances", number * each.count("instances") // 300)[0])
"""


def test_sets_have_more_shards_than_a_process_may_open_files(tmp_path):
    build(ToySource(9), tmp_path / "small", name="toy", split="val", shard_size=2)
    large(ShardSet.open(tmp_path / "small"), tmp_path / "a", shards=150, rows=2)
    large(ShardSet.open(tmp_path / "small"), tmp_path / "b", shards=90, rows=3)
    words = [sys.executable, "-c", MANY, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", ["picture", "instances"])
def test_places_are_those_of_a_plain_count(tmp_path, unit):
    build(ToySource(9, bad=(4,)), tmp_path / "set", name="toy", split="val", shard_size=2)
    shards = ShardSet.open(tmp_path / "set")
    numbers = [1 if unit == "picture" else len(shards.read(place).annotation["instances"]) for place in range(8)]
    expected = [(place, item) for place, number in enumerate(numbers) for item in range(number)]
    assert [shards.locate(unit, i) for i in range(shards.count(unit))] == expected
    with pytest.raises(IndexError):
        shards.locate(unit, shards.count(unit))
