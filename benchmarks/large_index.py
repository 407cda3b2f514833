"""A set of 10^8 samples beside one of 10^3: seconds until its first batch is there, and the memory of the process that reads it.

Both are opened by the package's own reader, and read through its data module's loader. The large set is simulated where it could
not be on a disk: its shards are links to one shard, and its indices to one index whose rows all point at that shard's samples.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import Finding, Scale, Times
from scenes import shards_of

from idiff.data.build.slices import describe
from idiff.data.shards import index
from idiff.data.shards import manifest as manifests
from idiff.data.shards.manifest import Manifest
from idiff.data.shards.reader import ShardSet

SMALL, LARGE, SHARDS = 1_000, 100_000_000, 1_000
"""Samples of both sets, and shards of the large one."""

READ = """
import json, sys, time
from pathlib import Path
from idiff.data.datamodule import SegmentationDataModule
from idiff.data.loading.training import open_training
from idiff.tasks import SemanticSegmentation
data = SegmentationDataModule(SemanticSegmentation(), train=sys.argv[1], batch_size=16)
began = time.perf_counter()
data._training = open_training(data.entries, seed=0, epoch_samples=None)
opened = time.perf_counter() - began
next(iter(data.train_dataloader()))
seconds = time.perf_counter() - began
own = next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().split("\\n") if "RssAnon" in line)
print(json.dumps({"open": opened, "seconds": seconds, "kib": own}))
"""
"""Opens a set and reads its first batch; memory is the process's own, without mapped files."""


def simulated(small: Path, folder: Path, *, samples: int, shards: int) -> Path:
    """A set of `samples` samples in so many shards, all of which are links to the first shard of a small set."""
    found, each = ShardSet.open(small), samples // shards
    entry, table = found.manifest.shards[0], np.array(found.rows(0))
    folder.mkdir()
    first = folder / "train-000000.tar"
    os.link(small / entry.name, first)
    index.write(folder / "train-000000.index.npy", np.resize(table, each))
    facts, entries = describe(first, each), []
    for number in range(shards):
        name = f"train-{number:06d}"
        if number:
            os.link(first, folder / f"{name}.tar")
            os.link(folder / "train-000000.index.npy", folder / f"{name}.index.npy")
        entries.append(type(facts)(f"{name}.tar", facts.size, facts.sha256, each, facts.index_sha256))
    counts = [manifests.counts_of(np.resize(table, each))] * shards
    meta = found.manifest.meta
    units, lists = manifests.units_of(counts), manifests.lists_of(counts)
    Manifest("synthetic", "train", ["segmentation"], "picture", each * shards, units, meta, entries, lists=lists).save(
        folder
    )
    return folder


def opened(folder: Path) -> dict[str, float]:
    """What a process of its own took to open a set and to read its first batch."""
    words = [sys.executable, "-c", READ, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(scale: Scale, *, large: int = LARGE, shards: int = SHARDS) -> dict[str, Finding]:
    """Both keys of large sets."""
    words = f"a set of {large:,} simulated samples in {shards:,} shards"
    if not Path("/proc/self/status").exists():
        reason = "memory is read from /proc, which is Linux's"
        return {key: Finding(None, words, reason=reason) for key in ("index_seconds", "memory_ratio")}
    found: dict[str, list[dict[str, float]]] = {"small": [], "large": []}
    with tempfile.TemporaryDirectory() as folder:
        small = shards_of("segmentation", Path(folder), count=min(SMALL, large))
        sets = {"small": small, "large": simulated(small, Path(folder) / "large", samples=large, shards=shards)}
        for turn in range(scale.rounds + 1):
            for name, where in sets.items():
                each = opened(where)
                if turn:
                    found[name].append(each)
    times = {name: Times([each["seconds"] for each in values]) for name, values in found.items()}
    kib = {name: statistics.median(each["kib"] for each in values) for name, values in found.items()}
    more = {
        "kib": kib, "kib_raw": {name: [each["kib"] for each in values] for name, values in found.items()},
        "open_seconds": {name: statistics.median(each["open"] for each in values) for name, values in found.items()},
        "ours_is": f"{large:,} samples", "peer_is": f"{SMALL:,} samples",
    }  # fmt: skip
    opening = f"Seconds of the clock to open {words} and read its first batch; beside it, {SMALL:,} samples."
    memory = f"Anonymous memory of a process that has read the first batch of {words}, over that of {SMALL:,}."
    return {
        "index_seconds": Finding(times["large"].median, opening, times["large"], times["small"], more=more),
        "memory_ratio": Finding(kib["large"] / kib["small"], memory, more=more),
    }
