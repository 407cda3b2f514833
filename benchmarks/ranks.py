"""Training with two processes of one thread each, beside one: examples a second, both at the same batch a process.

The ceiling is that of the machine: two such trainings that know nothing of each other, beside one alone.

    python benchmarks/ranks.py --ranks 2      # one job alone; prints seconds of a step

Each job is a process of its own that trains `tiny` on drawn scenes, with a second one that Lightning starts where there are two
ranks (DDP over gloo). Seconds are those of the clock, after steps that warm up; a machine at rest with two cores is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from measuring import Finding, Scale, Times
from scenes import training_batches
from training import SIZE, fit

from idiff.models.io.checkpoint import load
from idiff.types import Batch

WARM, STEPS = 4, 20
"""Steps of a job that do not count, and that do."""


class Clocked:
    """A loader that notes the time of the clock at which each batch is asked for."""

    def __init__(self, batches: list[Batch], steps: int) -> None:
        self.batches, self.steps, self.times = batches, steps, list[float]()

    def __iter__(self):
        for step in range(self.steps):
            self.times.append(time.perf_counter())
            yield self.batches[step % len(self.batches)]
        self.times.append(time.perf_counter())


def job(*, ranks: int, steps: int, size: int) -> None:
    """Train on one or two ranks, and print the seconds of a step on the first."""
    torch.set_num_threads(1)
    batches = training_batches(size=size, count=2)
    loader = Clocked(batches, WARM + steps)
    fit(load("tiny").backbone, loader, ranks=ranks)
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        print(json.dumps((loader.times[-1] - loader.times[WARM]) / steps))


def seconds_of(*, ranks: int, steps: int, size: int) -> float:
    """Seconds of a step of a job of its own."""
    words = [sys.executable, str(Path(__file__).resolve()), "--ranks", ranks, "--steps", steps, "--size", size]
    environment = {key: value for key, value in os.environ.items() if key != "LOCAL_RANK"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(done.stdout.splitlines()[-1]))


def apart(*, steps: int, size: int) -> float:
    """Seconds of a step of two jobs of one rank that run at the same time."""
    with ThreadPoolExecutor(2) as both:
        return statistics.mean(both.map(lambda _: seconds_of(ranks=1, steps=steps, size=size), range(2)))


def measure(scale: Scale, *, size: int = SIZE) -> dict[str, Finding]:
    """The key of two ranks."""
    words = f"Examples a second of two ranks of one thread over twice those of one; `tiny`, 64 px, float32, {size} examples a rank."
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if cores < 2:
        return {"ddp_efficiency": Finding(None, words, reason="only one core may be used")}
    times, steps, side_by_side = {ranks: Times() for ranks in (1, 2)}, scale.of(STEPS, least=4), Times()
    for _ in range(scale.rounds):
        for ranks, found in times.items():
            found.seconds.append(seconds_of(ranks=ranks, steps=steps, size=size))
        side_by_side.seconds.append(apart(steps=steps, size=size))
    value = times[1].median / times[2].median
    ceiling = {
        "value": round(times[1].median / side_by_side.median, 4),
        "sentence": "two trainings of one rank that run at the same time, unconnected, over twice one that runs alone",
    }
    more = {"ours_is": "two ranks", "peer_is": "one rank", "unconnected": side_by_side.plain()}
    return {"ddp_efficiency": Finding(value, words, times[2], times[1], ceiling, more=more)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, choices=(1, 2), default=2, metavar="N", help="1 or 2 (2)")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"steps that count ({STEPS})")
    parser.add_argument("--size", type=int, default=SIZE, metavar="N", help=f"examples of a rank's batch ({SIZE})")
    options = parser.parse_args()
    job(ranks=options.ranks, steps=options.steps, size=options.size)
