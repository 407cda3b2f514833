"""Agreement of edges with those that people drew: `ods ois ap`. Strengths are numbers from 0 to 1 at every pixel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from torch import Tensor

from idiff.checks import check_number
from idiff.metrics.base import ItemMetric, same_shape
from idiff.predictions import EdgesTruth, MapPrediction
from idiff.types import Prediction, Truth

Mask = NDArray[np.bool_]

_RING = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""The eight neighbors of a pixel as (row, column), from the right one on, counterclockwise."""


class EdgeMetric(ItemMetric):
    """Precision and recall of thinned edges at several thresholds of strength.

    Source: Martin et al., TPAMI 2004; Arbelaez et al., TPAMI 2011. At each threshold the pixels that are at least as strong are
    thinned (Guo and Hall, 1989) and matched one to one with each annotator's edges within the tolerance, as many as can be.
    A pixel is right where it is matched with an edge of any annotator; recall counts the edges of all annotators. The figures
    of one collection share their counts.

    Args:
        tolerance: largest distance of a match in pixels of the original image.
        thresholds: how many, evenly spread between 0 and 1, both left out.

    Raises:
        ConfigError: an argument that cannot be used.
    """

    edge_counts: Tensor
    edge_best: Tensor

    def __init__(self, tolerance: float = 1.0, thresholds: int = 19) -> None:
        super().__init__()
        check_number("tolerance", tolerance, least=0)
        check_number("thresholds", thresholds, least=1, whole=True)
        self.tolerance, self.levels = float(tolerance), np.arange(1, thresholds + 1) / (thresholds + 1)
        self.add_state("edge_counts", torch.zeros(thresholds, 4, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("edge_best", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one image."""
        found, true = self.typed(prediction, truth, (MapPrediction, EdgesTruth))
        same_shape(found.values, true.maps[0], what="edges")
        strength = found.values.detach().cpu().numpy()
        drawn = [thin(one) for one in true.maps.cpu().numpy()]
        rows = torch.from_numpy(
            np.array([_counted(thin(strength >= each), drawn, self.tolerance) for each in self.levels])
        )
        self.edge_counts = self.edge_counts + rows.to(self.edge_counts)
        self.edge_best = self.edge_best + rows[int(fscores(rows).argmax())].to(self.edge_best)

    def compute(self) -> Tensor:
        """The figure, float32 (); nan where there was neither an edge nor an answer."""
        known = bool(self.edge_counts.any())
        return self.figure().float() if known else torch.full((), torch.nan, device=self.edge_counts.device)

    @abstractmethod
    def figure(self) -> Tensor:
        """The figure of what was counted."""


class ODS(EdgeMetric):
    """`ods`: the best F over all images at one threshold for the whole set."""

    def figure(self) -> Tensor:
        """See `EdgeMetric.figure`."""
        return fscores(self.edge_counts).max()


class OIS(EdgeMetric):
    """`ois`: F over all images, each at its own best threshold."""

    def figure(self) -> Tensor:
        """See `EdgeMetric.figure`."""
        return fscores(self.edge_best[None])[0]


class EdgeAP(EdgeMetric):
    """`ap`: mean over the recalls 0, 0.01, ... 1 of the best precision at that recall or a higher one; 0 where none is reached."""

    def figure(self) -> Tensor:
        """See `EdgeMetric.figure`."""
        precision, recall = precision_recall(self.edge_counts)
        reached = recall >= torch.linspace(0, 1, 101, dtype=recall.dtype, device=recall.device)[:, None] - 1e-9
        return torch.where(reached, precision, 0.0).amax(dim=1).mean()


def precision_recall(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall (T,) of counts (T, 4): right answers, answers, found edges, edges; 0 of nothing."""
    return counts[:, 0] / counts[:, 1].clamp(min=1), counts[:, 2] / counts[:, 3].clamp(min=1)


def fscores(counts: Tensor) -> Tensor:
    """The harmonic mean (T,) of `precision_recall`; 0 where both are 0."""
    precision, recall = precision_recall(counts)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-12)


def thin(mask: Mask) -> Mask:
    """Lines of one pixel in the middle of what is set, with its ends and loops: bool (H, W)."""
    left, tables = np.ascontiguousarray(mask, np.uint8), _removable()
    weights = np.zeros((3, 3), np.float32)
    for bit, (row, column) in enumerate(_RING):
        weights[1 + row, 1 + column] = 1 << bit
    while True:
        before = int(left.sum())
        for table in tables:
            around = cv2.filter2D(left, cv2.CV_32F, weights, borderType=cv2.BORDER_CONSTANT)
            left[table[np.rint(around).astype(np.intp)]] = 0
        if int(left.sum()) == before:
            return left.astype(bool)


def match(found: Mask, true: Mask, tolerance: float) -> tuple[Mask, Mask]:
    """The pixels of both, (H, W) each, that can be paired one to one within a distance; as many as possible."""
    numbers = [np.where(each, np.cumsum(each).reshape(each.shape) - 1, -1) for each in (found, true)]
    pairs = [
        (mine[both], theirs[both])
        for mine, theirs in _shifted(*numbers, reach=int(tolerance), tolerance=tolerance)
        for both in [(mine >= 0) & (theirs >= 0)]
    ]
    rows, columns = (np.concatenate(each) for each in zip(*pairs, strict=True))
    shape = (int(found.sum()), int(true.sum()))
    results = np.zeros_like(found), np.zeros_like(true)
    if not len(rows):
        return results
    graph = csr_array((np.ones(len(rows), np.int8), (rows, columns)), shape=shape)
    partner = maximum_bipartite_matching(graph, perm_type="column")
    taken = np.zeros(shape[1], bool)
    taken[partner[partner >= 0]] = True
    for result, mask, paired in zip(results, (found, true), (partner >= 0, taken), strict=True):
        result[mask] = paired
    return results


def _counted(found: Mask, drawn: list[Mask], tolerance: float) -> tuple[int, int, int, int]:
    """Right answers, answers, found edges, edges of one image at one threshold."""
    right, edges = np.zeros_like(found), 0
    for one in drawn:
        mine, theirs = match(found, one, tolerance)
        right |= mine
        edges += int(theirs.sum())
    return int(right.sum()), int(found.sum()), edges, sum(int(one.sum()) for one in drawn)


def _shifted(
    one: NDArray[np.int64], other: NDArray[np.int64], *, reach: int, tolerance: float
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Both maps, cut so that pixels at one place are those of a certain offset; for each offset within the tolerance."""
    height, width = one.shape
    for y in range(-min(reach, height - 1), min(reach, height - 1) + 1):
        for x in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            if y * y + x * x <= tolerance * tolerance:
                mine = one[max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
                yield mine, other[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)]


@cache
def _removable() -> tuple[Mask, Mask]:
    """Which of the 256 neighborhoods let a pixel go, in the first and in the second half of a step: bool (256,) each."""
    x = np.array([[code >> bit & 1 for bit in range(8)] for code in range(256)], bool)
    odd, even, after = x[:, ::2], x[:, 1::2], np.roll(x[:, ::2], -1, axis=1)
    once = (~odd & (even | after)).sum(axis=1) == 1
    fewest = np.minimum((odd | even).sum(axis=1), (even | after).sum(axis=1))
    common = once & (fewest >= 2) & (fewest <= 3)
    first = common & ~((x[:, 1] | x[:, 2] | ~x[:, 7]) & x[:, 0])
    second = common & ~((x[:, 5] | x[:, 6] | ~x[:, 3]) & x[:, 4])
    return first, second
