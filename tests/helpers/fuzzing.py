"""Inputs for property tests of readers: any bytes, any JSON, good files that were changed; and the count of what came of them.

`IDIFF_FUZZ=N` tries N inputs a reader instead of a few, drawn at random; `IDIFF_FUZZ_LOG=FILE` writes what was tried, as JSON.
"""

import contextlib
import copy
import json
import os
import random
import resource
import time
import zlib
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from idiff.errors import IdiffError

EXAMPLES = int(os.environ.get("IDIFF_FUZZ", "0"))
QUICK = 4
SECONDS = 10.0
"""Of the processor; no input may take more. The longest good one takes a hundredth of that."""
MEGABYTES = 1500
"""The process may not grow by more while a reader is tried."""

COUNTS = defaultdict(lambda: {"inputs": 0, "values": 0, "errors": 0, "longest": 0.0})


def budget(share=1.0):
    """Settings of a property test; `share` for readers that take long."""
    many = max(round((EXAMPLES or QUICK) * share), 2)
    return settings(
        max_examples=many, deadline=None, derandomize=not EXAMPLES, database=None,
        suppress_health_check=list(HealthCheck), print_blob=True,
    )  # fmt: skip


@contextlib.contextmanager
def tried(reader):
    """Count an input: what is inside ends in a value or in an error of ours, within bounds. Anything else fails the test."""
    count = COUNTS[reader]
    count["inputs"] += 1
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
        count["values"] += 1
    except IdiffError as error:
        assert str(error), "an error without a word"
        count["errors"] += 1
    taken = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    count["longest"] = max(count["longest"], taken)
    assert taken < SECONDS, f"{reader} took {taken:.1f} s"
    assert grown < MEGABYTES, f"{reader} took {grown:.0f} MB"


def write_log():
    """Add what this process tried to the log."""
    file = os.environ.get("IDIFF_FUZZ_LOG")
    if file and COUNTS:
        known = json.loads(Path(file).read_text()) if Path(file).exists() else {}
        Path(file).write_text(json.dumps(known | dict(COUNTS), indent=1, sort_keys=True) + "\n")


def table(counts):
    """What was tried, as the table in docs/reliability.md."""
    lines = ["| reader | inputs | read | refused | longest, s |", "|---|---:|---:|---:|---:|"]
    for reader, count in sorted(counts.items()):
        figures = [f"{count[name]:,}" for name in ("inputs", "values", "errors")]
        lines.append(f"| {reader} | {' | '.join(figures)} | {count['longest']:.3f} |")
    total = [f"{sum(count[name] for count in counts.values()):,}" for name in ("inputs", "values", "errors")]
    return "\n".join([*lines, f"| all {len(counts)} | {' | '.join(total)} | |"])


_NUMBERS = (0, 1, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_WORDS = (
    b"\0" * 16,
    b"\xff" * 16,
    b"-1",
    b"NaN",
    b"1e999",
    b"null",
    b"[" * 40,
    b"../",
    b"/dev/zero",
    b"\xed\xa0\x80",
    b"{",
    b'"',
)


def changed(data, seed):
    """A file after one to six changes: bytes set, cut, doubled, moved, or filled with numbers at the ends of their range."""
    rng = random.Random(seed)
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        size = len(data)
        at = rng.randrange(size + 1) if rng.random() < 0.5 else min(rng.randrange(600), size)  # most headers come first
        kind, length = rng.randrange(8), rng.choice((1, 1, 2, 4, 8, 64, 512))
        if kind == 0 and size:
            data[min(at, size - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + length] = rng.randbytes(length)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            number = rng.choice(_NUMBERS)
            width = rng.choice((1, 2, 4, 8))
            data[at : at + width] = (number & ((1 << 8 * width) - 1)).to_bytes(width, rng.choice(("big", "little")))
        elif kind == 6:
            data[at : at + rng.choice((0, length))] = rng.choice(_WORDS)
        else:
            other = rng.randrange(size + 1)
            data[at : at + length] = data[other : other + length]
    return bytes(data)


SEEDS = st.integers(0, 2**48)


def variants(data, more=20):
    """A file, and in the long run `more` others made of it: drawing an input takes longer than most readers do."""
    yield data
    for number in range(more if EXAMPLES else 1):
        yield changed(data, zlib.crc32(data) + number)


def mutants(*good):
    """Good files, changed."""
    return st.builds(changed, st.sampled_from(good), SEEDS)


def any_bytes(*good):
    """Any bytes, also behind the beginning of a good file; or good files, changed."""
    starts = st.builds(
        lambda data, keep, rest: data[:keep] + rest, st.sampled_from(good), st.integers(1, 64), st.binary(max_size=256)
    )
    return st.one_of(mutants(*good), mutants(*good), starts, st.binary(max_size=512))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(-3, 300), st.floats(), st.text(max_size=12),
    st.sampled_from(["", "0", "NaN", "../x", "/dev/zero", "a/b.png", "\ud800", "\0", "x" * 300, 10**400, -1, 1e308]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=8,
)


def altered(value, seed, parts):
    """A JSON value with some of its parts taken out, doubled, exchanged, or replaced by `parts`."""
    rng, value = random.Random(seed), copy.deepcopy(value)
    for part in parts:
        place, key = value, None
        holder = None
        while isinstance(place, dict | list) and place and (holder is None or rng.random() < 0.8):
            holder, key = place, rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            place = holder[key]
        if holder is None:
            return part
        kind = rng.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.append(copy.deepcopy(place))
        elif kind == 2:
            other = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
            holder[key] = copy.deepcopy(holder[other])
        elif kind == 3 and isinstance(place, int | float | str):
            holder[key] = rng.choice((str(place), [place], {"id": place}, -1, None, place * 2))
        else:
            holder[key] = part
    return value


def like(*good):
    """JSON values of the shape of good ones; now and then any value at all."""
    parts = st.lists(VALUES, min_size=1, max_size=3)
    return st.one_of(
        st.builds(altered, st.sampled_from(good), SEEDS, parts),
        st.builds(altered, st.sampled_from(good), SEEDS, parts),
        VALUES,
    )


def json_bytes(value):
    """A value as a JSON file has it, NaN and lone surrogates included."""
    return json.dumps(value, default=str).encode("utf-8", "surrogatepass")


def json_files(*good):
    """JSON files of the shape of good ones, and the bytes of such files changed."""
    return st.one_of(
        like(*good).map(json_bytes),
        like(*good).map(json_bytes),
        any_bytes(*map(json_bytes, good)),
        st.just(b"[" * 100_000),
    )
