"""Times the package beside the libraries that people would use instead, and prints one table.

    python benchmarks/bench.py                      # everything (`make bench`), on a machine at rest
    python benchmarks/bench.py --quick              # fewer and shorter turns
    python benchmarks/bench.py --only query_ratio --only many_classes_ratio
    python benchmarks/bench.py --write-docs         # puts the table of results.json into docs/performance.md
    python benchmarks/bench.py --profile            # writes benchmarks/profiles/*.txt

Both sides of a figure take turns (A B A B) in one run, each process with one thread; the first turn of each warms up, the median of
the others counts, and all raw times are kept. Each module of figures runs in a process of its own. Results are kept as each ends:
runs/bench/results.json holds those of the last run of every key.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import reports
from keys import KEYS, modules_of

RESULTS = Path("runs/bench/results.json")
PROFILES = Path(__file__).resolve().parent / "profiles"
PROFILED = ("training", "streaming", "asking")
LINES = 25
"""Lines of a profile."""


def in_this_process(module: str, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure a module's keys here, as results.json holds them."""
    import torch
    from measuring import FULL, QUICK

    torch.set_num_threads(1)
    found = importlib.import_module(module).measure(QUICK if quick else FULL)
    return {key: reports.entry(key, each) for key, each in found.items()}


def in_own_process(module: str, *, quick: bool) -> dict[str, dict[str, Any]]:
    """Measure a module's keys in a process with one thread; where it fails, its keys have the reason and no value."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        words = [sys.executable, str(Path(__file__).resolve()), "--module", module, "--out", str(out)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
        done = subprocess.run(
            [*words, *(["--quick"] if quick else [])], check=False, capture_output=True, text=True, env=environment
        )
        if done.returncode == 0:
            found: dict[str, dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
            return found
    sys.stderr.write(done.stderr)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    empty = {"value": None, "compared": "", "ours": None, "peer": None, "ceiling": None, "more": {}}
    keys = [key for key, known in KEYS.items() if known.module == module]
    return {key: reports.entry(key, {**empty, "reason": f"it failed: {last[:200]}"}) for key in keys}


def profile() -> None:
    """Write where the time of each side goes: torch's operators where it computes, Python's functions where it loads."""
    import torch

    torch.set_num_threads(1)
    PROFILES.mkdir(exist_ok=True)
    for module in PROFILED:
        for name, call in importlib.import_module(module).profiled().items():
            call()
            text = _functions(call) if module == "streaming" else _operators(call)
            (PROFILES / f"{name}.txt").write_text(f"{name}: the second call, one thread\n\n{text}", encoding="utf-8")
            print(f"{PROFILES / name}.txt")


def _operators(call) -> str:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    with recorded(activities=[ProfilerActivity.CPU]) as run:
        call()
    text = run.key_averages().table(sort_by="self_cpu_time_total", row_limit=LINES, max_name_column_width=48)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _functions(call) -> str:
    import cProfile
    import io
    import pstats

    run, stream = cProfile.Profile(), io.StringIO()
    run.runcall(call)
    pstats.Stats(run, stream=stream).strip_dirs().sort_stats("tottime").print_stats(LINES)
    return "\n".join(line.rstrip() for line in stream.getvalue().strip().splitlines()) + "\n"


def run_all(keys: list[str], *, quick: bool, out: Path) -> dict[str, Any]:
    """Measure some keys, module by module, and write the results after each."""
    began, results = time.perf_counter(), reports.read(out)
    details, scale = dict(results["details"]), "quick" if quick else "full"
    for module in modules_of(keys):
        since = time.perf_counter()
        print(f"{module} ...", file=sys.stderr, flush=True)
        details |= in_own_process(module, quick=quick)
        print(f"{module}: {time.perf_counter() - since:.0f} s", file=sys.stderr, flush=True)
        results = reports.write(out, details, scale=scale, minutes=(time.perf_counter() - began) / 60)
    return results


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="two short turns instead of five long ones")
    add(
        "--only",
        action="append",
        choices=list(KEYS),
        metavar="KEY",
        help=f"measure it alone; repeatable: {', '.join(KEYS)}",
    )
    add("--out", type=Path, default=RESULTS, metavar="FILE.json", help=f"results ({RESULTS})")
    add(
        "--write-docs",
        action="store_true",
        help="write the table of the results into docs/performance.md; measure nothing",
    )
    add("--profile", action="store_true", help="write benchmarks/profiles/*.txt; measure nothing")
    add("--module", help=argparse.SUPPRESS)  # measures a module in this process: what the others are started with
    options = parser.parse_args(words)
    if options.module:
        options.out.write_text(json.dumps(in_this_process(options.module, quick=options.quick)), encoding="utf-8")
        return 0
    if options.profile:
        profile()
        return 0
    if options.write_docs:
        if not options.out.is_file():
            print(f"{options.out} is missing: run `make bench` first.", file=sys.stderr)
            return 2
        reports.write_page(reports.read(options.out))
        return 0
    print(reports.table(run_all(options.only or list(KEYS), quick=options.quick, out=options.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
