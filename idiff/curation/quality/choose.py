"""Which samples of a set stay: thresholds on scores, and images that another set holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.curation.quality.scores import Rows
from idiff.data.shards.overlap import overlap
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError

UNREAD = "cannot be read"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a pair must reach. A set without targets is judged by its images, and has no difference.

    Attributes:
        aesthetic: the least aesthetic score of a target. 5.5 was read off the name of a file of the paper's authors.
        difference: the largest difference of the aesthetic scores of source and target; 0.5 from the same place.
        giqa: the least KNN-GIQA score of a target; None: not asked. It has no scale of its own: see the report.

    Raises:
        ConfigError: a threshold that is not a number, or a negative difference.
    """

    aesthetic: float = 5.5
    difference: float = 0.5
    giqa: float | None = None

    def __post_init__(self) -> None:
        values = [self.aesthetic, self.difference, *([] if self.giqa is None else [self.giqa])]
        if not np.isfinite(values).all() or self.difference < 0:
            raise ConfigError(f"{self}: expected finite numbers, and a difference of 0 or more.")


@dataclass(slots=True)
class Choice:
    """What stays and what goes.

    Attributes:
        kept: positions in the set, int64, ascending.
        dropped: position -> (reason, values that led to it), in the order of the set.
        steps: step -> samples left after it, in order.
    """

    kept: NDArray[np.int64]
    dropped: dict[int, tuple[str, dict[str, Any]]]
    steps: dict[str, int] = field(default_factory=dict)


def choose(
    shards: ShardSet, scores: Rows | None, *, thresholds: Thresholds, without: Mapping[str, ShardSet] | None = None
) -> Choice:
    """Decide about each sample; the first reason to drop one counts.

    Args:
        shards: the set.
        scores: of each sample, see `quality.scores.ROW`; None: not scored.
        thresholds: what scores must reach.
        without: name -> a set; samples that show one of its images go.
    """
    dropped: dict[int, tuple[str, dict[str, Any]]] = {}
    steps: dict[str, int] = {"found": len(shards)}
    for name, other in (without or {}).items():
        for pair in overlap(shards, other).pairs:
            dropped.setdefault(pair.train, (f"in {name}", {"val": other.where(pair.val), "because": pair.reason}))
        steps[f"not in {name}"] = len(shards) - len(dropped)
    if scores is not None:
        for reason, step, bad, values in _tests(scores, thresholds):
            for place in np.flatnonzero(bad).tolist():
                dropped.setdefault(place, (reason, {name: _number(value[place]) for name, value in values.items()}))
            steps[step] = len(shards) - len(dropped)
    kept = np.array([place for place in range(len(shards)) if place not in dropped], np.int64)
    return Choice(kept, dict(sorted(dropped.items())), steps)


Test = tuple[str, str, NDArray[np.bool_], dict[str, NDArray[np.float32]]]


def _tests(scores: Rows, limits: Thresholds) -> Iterator[Test]:
    """(reason to drop, name of the step, which samples, values to show). Comparisons with nan are False: not asked."""
    judged = np.where(scores["paired"], scores["target"], scores["source"])
    gap = np.where(scores["paired"], np.abs(scores["target"] - scores["source"]), np.nan)
    yield UNREAD, "readable", ~scores["read"], {}
    if np.isfinite(judged).any():
        shown = {"aesthetic": judged}
        text = f"aesthetic score below {limits.aesthetic:g}"
        yield text, f"aesthetic score of {limits.aesthetic:g} or more", judged < limits.aesthetic, shown
    if np.isfinite(gap).any():
        shown = {"source": scores["source"], "target": scores["target"]}
        text = f"aesthetic scores differ by more than {limits.difference:g}"
        yield text, f"difference of {limits.difference:g} or less", gap > limits.difference, shown
    if limits.giqa is not None:
        text = f"GIQA score below {limits.giqa:g}"
        yield text, f"GIQA score of {limits.giqa:g} or more", scores["giqa"] < limits.giqa, {"giqa": scores["giqa"]}


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def spread(values: Sequence[float] | NDArray[Any]) -> dict[str, float]:
    """Percentiles of the finite values, for the report; empty where there are none."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return {}
    return {f"p{share}": float(f"{np.percentile(numbers, share):.5g}") for share in (0, 5, 25, 50, 75, 95, 100)}
