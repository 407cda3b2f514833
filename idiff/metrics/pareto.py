"""What is worth its cost: the Pareto front of a score against a cost, and the cheapest choice that is good enough."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Points that no other point beats: none costs as little or less and scores as much or more, and is better in one of the two.

    Args:
        costs: N numbers, smaller is better.
        scores: N numbers, larger is better. Points with a score or a cost that is nan are left out.

    Returns:
        places of the points, by rising cost and therefore rising score; of equal points the first one alone.

    Raises:
        ValueError: lists of two lengths.

    >>> pareto_front([1, 2, 4], [0.5, 0.4, 0.7])
    [0, 2]
    """
    if len(costs) != len(scores):
        raise ValueError(f"{len(costs)} costs and {len(scores)} scores: expected as many of each")
    known = [place for place in range(len(costs)) if not (math.isnan(costs[place]) or math.isnan(scores[place]))]
    front: list[int] = []
    for place in sorted(known, key=lambda at: (costs[at], -scores[at], at)):
        if not front or scores[place] > scores[front[-1]]:
            front.append(place)
    return front


def cheapest_within(costs: Sequence[float], scores: Sequence[float], *, tolerance: float) -> int | None:
    """The cheapest point whose score is at most `tolerance` below the best one; of equally cheap ones the best, then the first.

    Args:
        costs: N numbers, smaller is better.
        scores: N numbers, larger is better. Points with a score or a cost that is nan are left out.
        tolerance: 0 or more, in the unit of the scores.

    Returns:
        its place; None where no point has a score.

    Raises:
        ValueError: lists of two lengths, or a tolerance below 0 or not finite.
    """
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"{tolerance=}: expected a finite number of 0 or more")
    front = pareto_front(costs, scores)
    if not front:
        return None
    best = scores[front[-1]]
    return next(place for place in front if scores[place] >= best - tolerance)
