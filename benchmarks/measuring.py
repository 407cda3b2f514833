"""How two ways of doing the same work are timed beside each other, and what their ratio cannot exceed."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

Way = Callable[[], Any]
"""One turn of one side."""


@dataclass(slots=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: turns of each side that count.
        work: size of a turn in relation to that of a full run, in (0, 1].
    """

    rounds: int = 5
    work: float = 1.0

    def of(self, count: int, *, least: int = 1) -> int:
        """As much of a count as this scale wants."""
        return max(least, round(count * self.work))


FULL, QUICK = Scale(), Scale(rounds=2, work=0.2)


@dataclass(slots=True)
class Times:
    """Raw times of one side, in seconds, and what they say."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def plain(self) -> dict[str, Any]:
        """Median, spread (largest less smallest, over the median) and raw times."""
        spread = (max(self.seconds) - min(self.seconds)) / self.median
        return {
            "median": _short(self.median),
            "spread": _short(spread),
            "times": [_short(each) for each in self.seconds],
        }


@dataclass(slots=True)
class Finding:
    """What was found for one key.

    Attributes:
        value: the figure; None where it cannot be measured here.
        compared: what was compared, in a sentence.
        ours, peer: times of both sides; None where there is no such side.
        ceiling: what bounds the figure, computed beforehand: its `value` and a `sentence`.
        reason: why there is no value.
        more: further figures.
        holds: whether it is as good as what it is compared with; if not, no bound is reached.
    """

    value: float | None
    compared: str
    ours: Times | None = None
    peer: Times | None = None
    ceiling: dict[str, Any] | None = None
    reason: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    holds: bool = True

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        sides = {
            name: None if side is None else side.plain()
            for name, side in {"ours": self.ours, "peer": self.peer}.items()
        }
        rest = {key: value for key, value in asdict(self).items() if key not in {"ours", "peer"}}
        return {**rest, "value": None if self.value is None else _short(self.value), **sides}


def in_turns(
    ways: Mapping[str, Way], *, rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, Times]:
    """Time several ways in turns: A B A B. A turn of each goes before and does not count."""
    times = {name: Times() for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            began = clock()
            way()
            if turn:
                times[name].seconds.append(clock() - began)
    return times


def ratio(peer: Times, ours: Times) -> float:
    """The peer's median time over ours."""
    return peer.median / ours.median


def flops_of(way: Way) -> int:
    """Floating-point operations of products and convolutions, forward and backward."""
    counter = FlopCounterMode(display=False)
    with counter:
        way()
    return int(counter.get_total_flops())


def matmul_peak(dtype: torch.dtype = torch.float32, *, side: int = 1024, rounds: int = 5) -> float:
    """Floating-point operations a second of a product of two square matrices on one core: the best round."""
    left, right = (torch.rand(side, side).to(dtype) for _ in range(2))
    times = in_turns({"product": lambda: left @ right}, rounds=rounds)["product"]
    return 2 * side**3 / min(times.seconds)


def bound_by_flops(peer: Times, flops: float, peak: float) -> dict[str, Any]:
    """The ratio where our side ran at the peak of a matrix product, whatever else it has to do."""
    seconds = flops / peak
    sentence = (
        f"{flops / 1e9:.2f} GFLOP at the measured peak of {peak / 1e9:.0f} GFLOP/s of one core take {seconds:.4f} s"
    )
    return {"value": _short(peer.median / seconds), "sentence": sentence}


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    import diffusers
    import lightning
    import transformers
    import webdataset

    named = (torch, diffusers, transformers, lightning, webdataset)
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "versions": {each.__name__: str(each.__version__) for each in named},
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 (a line of a device file)
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _short(value: float) -> float:
    return float(f"{value:.4g}")
