"""The page of a run: one HTML file that loads nothing, and in which everything that was read is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from idiff._version import __version__
from idiff.errors import ConfigError
from idiff.reporting import curves
from idiff.reporting.pictures import Gallery
from idiff.reporting.results import number, steps_of
from idiff.reporting.run import Run, read_run
from idiff.utils.files import write_atomic

ASSETS = Path(__file__).parents[1] / "assets" / "report"
TEXT = 200_000
"""Characters of a configuration that are shown."""


def write_report(folder: str | Path, others: Sequence[str | Path] = (), *, out: str | Path | None = None) -> Path:
    """Write the page of a run, and beside it how other runs did.

    Args:
        folder: the run folder.
        others: run folders to compare it with.
        out: the file; None: `report.html` in the run folder, or `comparison.html` where there are others.

    Returns:
        the file.

    Raises:
        ConfigError: a folder is not that of a run, or the file cannot be written.
        DataError: a table of a run is damaged.
    """
    runs = [read_run(each) for each in (folder, *others)]
    path = Path(folder) / ("comparison.html" if others else "report.html") if out is None else Path(out)
    write_atomic(path, render(runs), error=ConfigError, remedy="Name another file with --out.")
    return path


def render(runs: Sequence[Run]) -> str:
    """The page as text; the first run is the one whose images, data and configuration are shown."""
    names = _distinct(runs)
    for run, name in zip(runs, names, strict=True):
        run.name = name
    run, gallery = runs[0], Gallery()
    films = gallery.films(run.folder, steps_of(run.results))
    worst = gallery.worst(run.folder)
    script, style = ((ASSETS / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    engine = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    engine.filters |= {"duration": duration, "figure": _figure}
    return engine.get_template("page.html").render(
        run=run, runs=runs, films=films, worst=worst, left_out=gallery.left_out, charts=curves.charts(runs), size=curves,
        table=summary(runs), differences=differences(runs), config=run.config[:TEXT], cut=len(run.config) > TEXT,
        version=__version__, script=script, style=style, digest=digest,
    )  # fmt: skip


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row for each task and metric: the first and the last score of the first run, its bounds, the last scores of the others."""
    table = []
    for task, metric in dict.fromkeys((row["task"], row["metric"]) for run in runs for row in run.results):
        rows = [[row for row in run.results if (row["task"], row["metric"]) == (task, metric)] for run in runs]
        own = rows[0]
        bounds = {title: next((v for row in own[::-1] if (v := number(row[column])) is not None), None)
                  for column, title in curves.BOUNDS}  # fmt: skip
        table.append({
            "task": task, "metric": metric, "bounds": bounds,
            "first": number(own[0]["score"]) if own else None, "steps": len(own),
            "last": [number(each[-1]["score"]) if each else None for each in rows],
            "baseline": own[-1]["guess_name"] if own else "", "samples": own[-1]["samples"] if own else "",
        })  # fmt: skip
    return table


def differences(runs: Sequence[Run]) -> list[tuple[str, list[str]]]:
    """Settings that are not the same in all runs: dotted name, and the value in each."""
    if len(runs) < 2:
        return []
    names = dict.fromkeys(name for run in runs for name in run.settings)
    rows = [(name, [run.settings.get(name, "not set") for run in runs]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def duration(seconds: float | None) -> str:
    """Seconds in words.

    >>> duration(7500), duration(50)
    ('2 h 05 min', '50 s')
    """
    if seconds is None:
        return "unknown"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"  # noqa: RUF001 (an en dash is meant)


def _distinct(runs: Sequence[Run]) -> list[str]:
    """Names of the folders; paths where two have the same name."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]
