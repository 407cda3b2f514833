"""The image and the table of a search: all points, with their front and the preset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from idiff.errors import ConfigError
from idiff.evaluation.measured_points import Point
from idiff.utils.files import atomic

INCHES = (8.0, 5.0)


def draw_front(
    points: Sequence[Point], path: Path, *, metric: str, front: Sequence[int], preset: int, title: str
) -> None:
    """Draw the metric against the evaluations of a query on an axis of powers of two.

    Args:
        points: what was measured; those without the metric are left out.
        path: the PNG to write.
        metric: what is on the vertical axis.
        front: places of the points of the front, by rising cost. They are labelled.
        preset: place of the point that was chosen.
        title: above the image.

    Raises:
        ConfigError: the file cannot be written.
    """
    figure, axes = _axes(title, metric)
    for place, point in enumerate(points):
        on = place in front or place == preset
        size, color = (36, "tab:blue") if on else (16, "0.7")
        axes.scatter(point.evaluations_per_query, point.score(metric), s=size, color=color, zorder=3 if on else 2)
        axes.annotate(
            label(point), (point.evaluations_per_query, point.score(metric)), textcoords="offset points",
            xytext=(4, 5 if on else -7), fontsize=7 if on else 4.5, color="black" if on else "0.5",
        )  # fmt: skip
    axes.plot(
        [points[place].evaluations_per_query for place in front],
        [points[place].score(metric) for place in front],
        drawstyle="steps-post", color="tab:blue", label="Pareto front",
    )  # fmt: skip
    best = points[preset]
    axes.scatter(
        best.evaluations_per_query, best.score(metric), s=130, facecolors="none", edgecolors="tab:red", zorder=4,
        label=f"preset: {label(best)}",
    )  # fmt: skip
    axes.margins(x=0.12)
    figure.legend(fontsize="small", loc="outside lower center", ncols=2)
    save_png(figure, path)


def table(points: Sequence[Point], *, metric: str, front: Sequence[int], preset: int, title: str) -> Table:
    """All points by rising cost, for the terminal; the front and the preset are marked."""
    shown = Table(box=SIMPLE_HEAD, title=title, collapse_padding=True, pad_edge=False)
    for column in ("evaluations", "steps", "sampler", "text", "image", metric, "s/query", ""):
        shown.add_column(column, justify="left" if column in {"sampler", ""} else "right", no_wrap=True)
    for place in sorted(range(len(points)), key=lambda at: (points[at].evaluations_per_query, at)):
        point, one = points[place], points[place].sampling
        mark = "preset" if place == preset else "front" if place in front else ""
        shown.add_row(
            f"{point.evaluations_per_query:g}", str(one.steps), one.sampler, f"{one.guidance_text:g}",
            f"{one.guidance_image:g}", number(point.score(metric)), f"{point.seconds_per_query:.4f}", mark,
        )  # fmt: skip
    return shown


def label(point: Point) -> str:
    """A point in a few characters: steps, sampler, and the scales of guidance."""
    one = point.sampling
    return f"{one.steps} {one.sampler} ({one.guidance_text:g}, {one.guidance_image:g})"


def number(value: float) -> str:
    """A metric for people; `-` where it is nan."""
    return "-" if value != value else f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"  # noqa: PLR0124


def _axes(title: str, metric: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=INCHES, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("U-Net evaluations of a query")
    axes.set_ylabel(metric)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    return figure, axes


def save_png(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib as PNG, whole or not at all. Raises ConfigError where it cannot be written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    with atomic(path, error=ConfigError, remedy="Free some space or name another.") as stream:
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
