"""From a position of the training stream to its sample, in mixtures of a thousand to a hundred million items.

    python benchmarks/scale.py                          # 20 sets; 10^3, 10^6 and 10^8 items in 20, 1,000 and 100,000 shards
    python benchmarks/scale.py --size 4 50 100          # 4 sets of 50 shards of 100 items

Each set is a folder as `idiff data build` writes it, whose shards are hard links to one tar and one index: every file is
found, hashed and mapped as in a real set, and no disk is filled. A fresh process opens all sets of a size, mixes them with
different weights, and goes from random positions to set, item, shard and key, and reads some samples whole. It prints seconds
to open, microseconds for a position (the median of rounds, and their range), those of the same positions once more, those with
reading, and how much its own memory grew: opened, and after the lookups. The index of a shard of a large set is checked when it
is first used, so that the first lookups cost more. Mapped files are not counted, as the system may drop them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from idiff.data.build.builder import build
from idiff.data.build.slices import describe
from idiff.data.loading.mixture import Stream
from idiff.data.shards import index
from idiff.data.shards.manifest import Manifest, Shard
from idiff.data.shards.reader import ShardSet
from idiff.synthetic.source import SyntheticSource

SIZES = ((20, 1, 50), (20, 50, 1000), (20, 5000, 1000))
"""(sets, shards of a set, items of a shard)."""

ROUNDS, LOOKUPS, READS = 5, 400, 40


def make_sets(folder: Path, *, sets: int, shards: int, rows: int) -> list[Path]:
    """Write sets whose shards are all the same: `rows` samples that lie at the place of one."""
    build(SyntheticSource("segmentation", split="train", count=1), folder / "one", name="synthetic", split="train")
    one = ShardSet.open(folder / "one")
    table = np.repeat(np.array(one.rows(0)), rows)
    found = []
    for number in range(sets):
        found.append(folder / f"set-{number}")
        found[-1].mkdir()
        first = found[-1] / "train-000000.tar"
        first.write_bytes((folder / "one" / one.manifest.shards[0].name).read_bytes())
        index.write(first.with_name(index.index_name(first.name)), table)
        entry = describe(first, rows)
        entries = [entry]
        for place in range(1, shards):
            name = f"train-{place:06d}.tar"
            os.link(first, first.with_name(name))
            os.link(first.with_name(index.index_name(first.name)), first.with_name(index.index_name(name)))
            entries.append(Shard(name, entry.size, entry.sha256, rows, entry.index_sha256))
        total = rows * shards
        Manifest("synthetic", "train", ["segmentation"], "picture", total, {"picture": total}, one.meta, entries).save(
            found[-1]
        )
    return found


def own_memory() -> float:
    """MiB that belong to this process alone."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1024


def measure(folders: list[str]) -> dict[str, float]:
    """Open sets and look positions up; see the head of this file."""
    before, began = own_memory(), time.process_time()
    sets = [ShardSet.open(folder) for folder in folders]
    opened, memory = time.process_time() - began, own_memory() - before
    stream = Stream([len(each) for each in sets], [0.2 + 0.1 * (number % 9) for number in range(len(sets))], seed=0)
    positions = np.random.default_rng(0).integers(0, 3 * len(stream), ROUNDS * LOOKUPS).tolist()
    rounds, again, whole = [], [], []
    for number in range(ROUNDS):
        own = positions[number * LOOKUPS : (number + 1) * LOOKUPS]
        for times in (rounds, again):
            began = time.process_time()
            for position in own:
                chosen, item = stream.locate(position)
                sets[chosen].where(sets[chosen].locate("picture", item)[0])
            times.append(1e6 * (time.process_time() - began) / LOOKUPS)
        began = time.process_time()
        for position in own[:READS]:
            chosen, item = stream.locate(position)
            sets[chosen].read(sets[chosen].locate("picture", item)[0])
        whole.append(1e6 * (time.process_time() - began) / READS)
    return {
        "items": sum(map(len, sets)), "shards": sum(len(each.manifest.shards) for each in sets), "open": opened,
        "lookup": statistics.median(rounds), "low": min(rounds), "high": max(rounds), "again": statistics.median(again),
        "read": statistics.median(whole), "opened": memory, "grown": own_memory() - before - memory,
    }  # fmt: skip


def main(words: list[str]) -> None:
    """Make the sets of each size, measure each in a process of its own, and print the table."""
    options = argparse.ArgumentParser(description="Positions of the stream in mixtures of growing size.")
    options.add_argument(
        "--size", type=int, nargs=3, action="append", metavar=("SETS", "SHARDS", "ITEMS"), help="one more size"
    )
    options.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    chosen = options.parse_args(words)
    if chosen.measure:
        print(json.dumps(measure(chosen.measure)))
        return
    print(
        "      items   shards   open, s   position, us (range)   again, us   with reading, us   opened, MiB   then, MiB",
        flush=True,
    )
    for sets, shards, rows in chosen.size or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            folders = make_sets(Path(folder), sets=sets, shards=shards, rows=rows)
            done = subprocess.run(
                [sys.executable, __file__, "--measure", *map(str, folders)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        row = json.loads(done.stdout)
        print(
            f"{row['items']:11,} {row['shards']:8,} {row['open']:9.2f} {row['lookup']:10.0f} ({row['low']:.0f} to"
            f" {row['high']:.0f}) {row['again']:11.0f} {row['read']:18.0f} {row['opened']:20.1f} {row['grown']:11.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
