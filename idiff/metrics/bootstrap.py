"""How sure a figure is: percentile intervals by the bootstrap (Efron and Tibshirani, 1993, section 13.3).

Images are drawn with replacement, as many as there are, and each figure is taken anew. All items of one image (its
people, its phrases) are drawn together, because they are alike: intervals of items drawn one by one would be too narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities.data import dim_zero_sum

from idiff.types import Prediction, Truth
from idiff.utils.seeds import numpy_rng

LEVEL = 0.95
"""Share of the resamples that an interval holds."""

Interval = tuple[float, float] | None
"""Lower and upper bound; None where there is too little to tell."""

Addition = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
"""By metric: which numbers of its states an item changed, end to end, and by how much."""


@runtime_checkable
class Resampled(Protocol):
    """A metric that is not a function of sums and says itself what resamples of its images give."""

    def resampled(self, keys: Sequence[str], counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Figures of R resamples.

        Args:
            keys: every `truth.key` that was counted, each once.
            counts: int64 (R, N), how often each resample has each key.

        Returns:
            by name of the figure: float64 (R,).
        """


def draws(count: int, resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `count` of `count` images with replacement: int64 (resamples, count), how often each is drawn."""
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples)


def percentile_interval(values: NDArray[np.float64], *, level: float = LEVEL) -> Interval:
    """The middle of the figures of all resamples.

    Args:
        values: float (R,); those that are not finite (nothing to score was drawn) are left out.
        level: share of the values between the bounds.

    Returns:
        the percentiles (1 - level) / 2 and (1 + level) / 2; None where no value is finite.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class Additions:
    """What each image added to the states of metrics, for metrics whose states are sums over items.

    Attributes:
        found: the key of an item, and what it added.
    """

    def __init__(self) -> None:
        self.found: list[tuple[str, Addition]] = []

    def update(self, metrics: MetricCollection, prediction: Prediction, truth: Truth) -> None:
        """Update the metrics with one item, and keep what it added to their sums."""
        before = {name: _flat(metric) for name, metric in metrics.items(keep_base=True) if _sums(metric)}
        metrics.update(prediction, truth)
        added: Addition = {}
        for name, metric in metrics.items(keep_base=True):
            if name in before:
                change = _flat(metric) - before[name]
                places = change.nonzero()[:, 0]
                added[name] = (places.cpu().numpy(), change[places].cpu().numpy())
        self.found.append((truth.key, added))


def intervals(
    metrics: MetricCollection, found: Iterable[tuple[str, Addition]], *, resamples: int, seed: int
) -> dict[str, Interval]:
    """Percentile intervals of all figures of a collection.

    All figures are taken from the same resamples. With several ranks, all must call it together, each with what all ranks
    found.

    Args:
        metrics: updated with all items.
        found: `Additions.found` of all items.
        resamples: how many.
        seed: of the draws.

    Returns:
        by name of the figure; None for a metric that is neither a function of sums nor `Resampled`, and where there are
        fewer than two images.
    """
    rows = sorted(found, key=lambda row: row[0])
    keys = sorted({key for key, _ in rows})
    names: list[str] = list(metrics.compute())
    if len(keys) < 2:
        return dict.fromkeys(names)
    counts = draws(len(keys), resamples, numpy_rng(seed, "bootstrap"))
    place = {key: number for number, key in enumerate(keys)}
    figures: dict[str, NDArray[np.float64]] = {}
    for name, metric in metrics.items(keep_base=True):
        if isinstance(metric, Resampled):
            figures |= metric.resampled(keys, counts)
        elif _sums(metric):
            figures |= _of_sums(name, metric, [(place[key], *added[name]) for key, added in rows], counts)
    return {name: percentile_interval(figures[name]) if name in figures else None for name in names}


def _of_sums(
    name: str,
    metric: Metric,
    rows: list[tuple[int, NDArray[np.int64], NDArray[np.float64]]],
    counts: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    """Figures of R resamples of a metric whose states are sums: states are summed over what was drawn, then computed."""
    places = np.concatenate([columns for _, columns, _ in rows])
    used, columns = np.unique(places, return_inverse=True)
    pictures = np.repeat([picture for picture, _, _ in rows], [len(changed) for _, changed, _ in rows])
    values = np.concatenate([amounts for _, _, amounts in rows])
    where = torch.from_numpy(np.stack([columns, pictures]).astype(np.int64))
    shape = (len(used), counts.shape[1])
    table = torch.sparse_coo_tensor(where, torch.from_numpy(values), shape, check_invariants=True).coalesce()
    probe = metric.clone().cpu()
    figures: dict[str, list[float]] = {}
    for part in np.array_split(counts, max(1, len(counts) * len(used) // 2_000_000)):
        sums = torch.sparse.mm(table, torch.from_numpy(part.T.astype(np.float64)))
        for column in sums.T:
            for figure, value in _computed(name, probe, torch.from_numpy(used), column).items():
                figures.setdefault(figure, []).append(value)
    return {figure: np.array(list_of) for figure, list_of in figures.items()}


def _computed(name: str, metric: Metric, used: Tensor, sums: Tensor) -> dict[str, float]:
    """What a metric's states say where only these of their numbers are not zero."""
    flat = torch.zeros(sum(state.numel() for state in _states(metric).values()), dtype=torch.float64)
    flat[used] = sums
    start = 0
    for state, value in _states(metric).items():
        part = flat[start : start + value.numel()].reshape(value.shape)
        whole = not value.is_floating_point()
        setattr(metric, state, (part.round() if whole else part).to(value.dtype))
        start += value.numel()
    result: Any = type(metric).compute(metric)
    return {key: float(part) for key, part in (result if isinstance(result, dict) else {name: result}).items()}


def _states(metric: Metric) -> dict[str, Tensor]:
    return {name: getattr(metric, name) for name in metric._reductions}


def _flat(metric: Metric) -> Tensor:
    """All states end to end, float64; a copy."""
    return torch.cat([state.reshape(-1).double() for state in _states(metric).values()])


def _sums(metric: Metric) -> bool:
    """Whether all states are sums over items."""
    return bool(metric._reductions) and all(reduce is dim_zero_sum for reduce in metric._reductions.values())
