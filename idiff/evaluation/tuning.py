"""The search for few steps: guidance is searched first, then step counts and samplers at the guidance that was chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from idiff.diffusion import SAMPLERS
from idiff.errors import ConfigError
from idiff.evaluation.guidance_settings import guidance_grid
from idiff.evaluation.measured_points import Point
from idiff.evaluation.task_slice import TaskSlice
from idiff.metrics.pareto import cheapest_within, pareto_front
from idiff.sampling import RuleName, Sampling, check_sampler


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    Attributes:
        guidance: the setting of the grid that was chosen.
        front: indices of the points of the Pareto front, by rising cost.
        chosen: index of the cheapest point that is good enough.
    """

    guidance: Sampling
    front: list[int]
    chosen: int


def tune(
    here: TaskSlice,
    grid: Sequence[Sampling],
    *,
    steps: Sequence[int],
    samplers: Sequence[str],
    tolerance: float,
    budget: float = math.inf,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Measure settings of a task and choose the cheapest one that is good enough; the points are kept in `here.file`.

    Args:
        here: measures, or knows a point already.
        grid: settings that differ in guidance alone, see `affordable_grid`.
        steps: step counts.
        samplers: names of samplers.
        tolerance: how much worse than the best score the choice may be, in the unit of the metric.
        budget: U-Net evaluations that a query may cost; settings that cost more are not measured.
        progress: called with (settings known, settings in all).

    Raises:
        ConfigError: no setting has a score.
        IdiffError: see `TaskSlice.score`.
    """
    total = len(grid) + len(crossed(grid[0], steps=steps, samplers=samplers))
    known = 0

    def score(sampling: Sampling) -> Point:
        nonlocal known
        point = here.score(sampling)
        known += 1
        progress(known, total)
        return point

    guidance = search(
        score, grid=grid, steps=steps, samplers=samplers, metric=here.metric, tolerance=tolerance,
        lower_is_better=here.lower_is_better,
        affordable=lambda sampling: here.painting.backbone.evaluations(sampling) <= budget,
    )  # fmt: skip
    points, lower = here.file.points, here.lower_is_better
    chosen = choose(points, here.metric, tolerance=tolerance, budget=budget, lower_is_better=lower)
    if guidance is None or chosen is None:
        raise ConfigError(
            f"{here.data} gives no {here.metric} for the task '{here.choice.entry}' under any setting: nothing can be chosen "
            "by it. Give shards that have what it scores, or more items."
        )
    scores = goodness(points, here.metric, lower_is_better=lower)
    front = pareto_front([point.evaluations_per_query for point in points], scores)
    return Tuned(guidance, front, chosen)


def search(
    score: Callable[[Sampling], Point],
    *,
    grid: Sequence[Sampling],
    steps: Sequence[int],
    samplers: Sequence[str],
    metric: str,
    tolerance: float,
    lower_is_better: bool = False,
    affordable: Callable[[Sampling], bool] = lambda sampling: True,
) -> Sampling | None:
    """Measure the guidance grid at one step count and sampler, then steps and samplers at the guidance that was chosen there.

    Args:
        score: measures a setting, or knows it already.
        grid: see `tune`.
        steps: step counts.
        samplers: names of samplers.
        metric: see `choose`.
        tolerance: see `choose`.
        lower_is_better: see `choose`.
        affordable: whether a setting is measured at all.

    Returns:
        the setting of the grid that was chosen; None where there was none to choose, and nothing more was measured.
    """
    points = [score(setting) for setting in grid if affordable(setting)]
    chosen = choose(points, metric, tolerance=tolerance, lower_is_better=lower_is_better)
    if chosen is None:
        return None
    guidance = points[chosen].sampling
    for setting in crossed(guidance, steps=steps, samplers=samplers):
        if affordable(setting):
            score(setting)
    return guidance


def crossed(guidance: Sampling, *, steps: Sequence[int], samplers: Sequence[str]) -> list[Sampling]:
    """Step counts times samplers at one guidance, by rising step count; at one step, where all return the same, the first alone."""
    return [
        replace(guidance, steps=count, sampler=sampler)
        for count in sorted(set(steps))
        for sampler in (samplers if count > 1 else samplers[:1])
    ]


def goodness(points: Sequence[Point], metric: str, *, lower_is_better: bool = False) -> list[float]:
    """A metric of each point so that larger is better: turned about where lower is; nan where it is not known."""
    return [-point.score(metric) if lower_is_better else point.score(metric) for point in points]


def choose(
    points: Sequence[Point], metric: str, *, tolerance: float, budget: float = math.inf, lower_is_better: bool = False
) -> int | None:
    """The cheapest point whose metric is at most `tolerance` worse than the best among those that the budget allows.

    Args:
        points: what was measured.
        metric: what they are chosen by.
        tolerance: in the unit of the metric.
        budget: U-Net evaluations of a query.
        lower_is_better: the metric is an error.

    Returns:
        its index in `points`; None where there is none.
    """
    costs = [point.evaluations_per_query for point in points]
    known = goodness(points, metric, lower_is_better=lower_is_better)
    scores = [score if cost <= budget else math.nan for score, cost in zip(known, costs, strict=True)]
    return cheapest_within(costs, scores, tolerance=tolerance)


def known_samplers(names: Sequence[str] | None, own: Sampling) -> list[str]:
    """The samplers to measure; None: the task's own and all others.

    Raises:
        ConfigError: an unknown sampler.
    """
    wanted = [own.sampler, *SAMPLERS] if names is None else names
    for name in wanted:
        check_sampler(name)
    return list(dict.fromkeys(wanted))


def affordable_grid(
    own: Sampling,
    *,
    rule: RuleName,
    sampler: str,
    evaluations: Callable[[Sampling], int],
    text: Sequence[float] | None = None,
    image: Sequence[float] | None = None,
    steps: int | None = None,
    budget: int | None = None,
) -> list[Sampling]:
    """The guidance to measure at one step count, see `guidance_grid`; each setting once.

    Args:
        own: how the task samples.
        rule: see `guidance_grid`.
        sampler: the one to search with.
        evaluations: what a query costs under a setting.
        text: text scales; None: around the task's.
        image: image scales; None: around the task's.
        steps: None: the task's.
        budget: U-Net evaluations that a query may cost; None: any number.

    Raises:
        ConfigError: the budget allows none of it.
    """
    grid = guidance_grid(own, rule=rule, text=text, image=image, steps=steps, sampler=sampler)
    cheapest = min(map(evaluations, grid))
    if budget is not None and cheapest > budget:
        raise ConfigError(
            f"--budget {budget} allows no guidance at {grid[0].steps} steps: the cheapest takes {cheapest} evaluations. "
            "Give more, or fewer --guidance-steps."
        )
    return [setting for number, setting in enumerate(grid) if setting not in grid[:number]]
