"""Charts of a run as numbers that a template draws: lines of runs, ceiling and floors as level lines, ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from idiff.reporting.results import Figures, number
from idiff.reporting.run import Run

WIDTH, HEIGHT = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 26
POINTS = 300
"""Points of a line that are drawn; of more, the means of neighbors."""

LOG_SPAN = 20
"""A chart whose largest value is so many times its smallest one has a logarithmic axis."""

BOUNDS = (("ceiling", "ceiling"), ("identity", "identity"), ("guess", "baseline"))
"""Columns of `results.csv` that are level lines, and what they are called."""

HEADINGS = {"val": "validation", "train": "training"}
"""What the names of figures begin with, and the headings they are drawn under; the others are of the system."""

Points = list[tuple[float, float]]


@dataclass(slots=True)
class Line:
    """A drawn line: name, number of its color, points of a polyline in pixels, and its last value."""

    name: str
    color: int
    path: str
    dots: list[tuple[float, float]]
    last: float


@dataclass(slots=True)
class Level:
    """A level line: name, class, height in pixels, value."""

    name: str
    kind: str
    y: float
    value: float


@dataclass(slots=True)
class Chart:
    """A chart with everything in pixels; ticks are (pixel, text)."""

    title: str
    lines: list[Line]
    levels: list[Level] = field(default_factory=list)
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    logarithmic: bool = False


def charts(runs: Sequence[Run]) -> dict[str, list[Chart]]:
    """All charts: of every metric of each task, and of training.

    Args:
        runs: the first one says what the ceiling and the floors are, where it knows them.

    Returns:
        heading -> charts.
    """
    found: dict[str, list[Chart]] = {}
    names = dict.fromkeys((row["task"], row["metric"]) for run in runs for row in run.results)
    for task, metric in names:
        rows = [[row for row in run.results if (row["task"], row["metric"]) == (task, metric)] for run in runs]
        lines = [_points(each) for each in rows]
        levels = {title: _last([row for each in rows[::-1] for row in each], column) for column, title in BOUNDS}
        chart = _chart(f"{task}: {metric}", [run.name for run in runs], lines, levels)
        if chart is not None:
            found.setdefault(task, []).append(chart)
    further: dict[str, list[Chart]] = {}
    for name in sorted({name for run in runs for name in run.figures}):
        chart = _chart(name, [run.name for run in runs], [_figure(run.figures, name) for run in runs], {})
        if chart is not None:
            heading = HEADINGS.get(name.split("/", 1)[0], "system")
            further.setdefault(heading, []).append(chart)
    return found | {heading: further[heading] for heading in (*HEADINGS.values(), "system") if heading in further}


def _figure(figures: Figures, name: str) -> Points:
    return [(step, value) for step, value in figures.get(name, []) if math.isfinite(value)]


def _points(rows: list[dict[str, str]]) -> Points:
    pairs = [(number(row["step"]), number(row["score"])) for row in rows]
    return [(step, value) for step, value in pairs if step is not None and value is not None]


def _last(rows: list[dict[str, str]], column: str) -> float | None:
    values = [value for row in rows if (value := number(row[column])) is not None]
    return values[-1] if values else None


def _thinned(points: Points) -> Points:
    if len(points) <= POINTS:
        return points
    size = math.ceil(len(points) / POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _chart(title: str, names: Sequence[str], drawn: Sequence[Points], levels: dict[str, float | None]) -> Chart | None:
    """A chart; None where there is no point."""
    drawn = [_thinned(points) for points in drawn]
    steps = [step for points in drawn for step, _ in points]
    if not steps:
        return None
    known = {name: value for name, value in levels.items() if value is not None}
    values = [value for points in drawn for _, value in points] + list(known.values())
    logarithmic = not known and min(values) > 0 and max(values) > LOG_SPAN * min(values)
    across, right = (min(steps), max(steps)) if max(steps) > min(steps) else (min(steps) - 1, max(steps) + 1)
    low, high = (math.log10(min(values)), math.log10(max(values))) if logarithmic else (min(values), max(values))
    room = (high - low) * 0.06 or abs(high) * 0.1 or 0.1
    low, high = low - room, high + room

    def x(step: float) -> float:
        return round(LEFT + (step - across) / (right - across) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        place = math.log10(value) if logarithmic else value
        return round(TOP + (high - place) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    chart = Chart(title, [], logarithmic=logarithmic)
    for color, (name, points) in enumerate(zip(names, drawn, strict=True)):
        if points:
            dots = [(x(step), y(value)) for step, value in points]
            path = " ".join(f"{a},{b}" for a, b in dots)
            chart.lines.append(Line(name, color % 6, path, dots if len(dots) <= 40 else dots[-1:], points[-1][1]))
    chart.levels = [Level(name, name, y(value), value) for name, value in known.items()]
    chart.x_ticks = [(x(tick), f"{tick:,.0f}") for tick in ticks(min(steps), max(steps), 5) if tick == round(tick)]
    if logarithmic:
        powers = range(math.ceil(low), math.floor(high) + 1)
        marks = [10.0**power for power in powers] if len(powers) > 1 else [10**low * 1.1, 10**high / 1.1]
    else:
        marks = ticks(low, high, 5)
    chart.y_ticks = [(y(tick), f"{tick:.4g}") for tick in marks]
    return chart


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers within [low, high], about `count` of them."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]
