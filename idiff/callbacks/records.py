"""What a run folder keeps of each validation: a table of figures, and the images."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from idiff.callbacks.scoring import Score
from idiff.metrics.bootstrap import Interval
from idiff.types import Picture
from idiff.utils.files import write_atomic
from idiff.utils.images import grid, write_png

FIELDS = ("step", "task", "metric", "score", "ceiling", "identity", "guess", "guess_name", "samples")
HEADERS = ("source", "edited", "target", "decoded")


def append_results(folder: str | Path, results: dict[str, Score], *, step: int) -> None:
    """Append to `results.csv`, a line a metric. Rows of this step and later ones (a resumed run) are replaced.

    Args:
        folder: the run folder.
        results: scores by task.
        step: optimizer steps taken.
    """
    path = Path(folder) / "results.csv"
    rows = [row for row in read_results(folder) if int(row["step"]) < step]
    for name, score in results.items():
        for metric, value in score.metrics.items():
            floors = [_cell(part.get(metric)) for part in (score.ceiling, score.identity, score.baseline)]
            figures = [str(step), name, metric, _cell(value), *floors, score.baseline_name, str(score.samples)]
            rows.append(dict(zip(FIELDS, figures, strict=True)))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, FIELDS)
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def read_results(folder: str | Path) -> list[dict[str, str]]:
    """Rows of `results.csv`; none where there is no such file."""
    path = Path(folder) / "results.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def draw_grids(folder: str | Path, grids: dict[str, list[list[Picture]]], *, step: int) -> dict[str, Picture]:
    """Lay out each task's rows source / edited / target / decoded, and write them under `samples/`.

    Returns:
        the grid of each task, uint8 (H, W, 3).
    """
    drawn = {name: grid(rows, headers=HEADERS) for name, rows in grids.items() if rows}
    for name, picture in drawn.items():
        write_png(picture, Path(folder) / "samples", f"{name}_{step:07d}")
    return drawn


def render_table(results: dict[str, Score], *, step: int, below: str = "") -> Table:
    """Every score, with its interval where there is one, beside its ceiling and its floors, for the terminal; a line goes below."""
    names = {score.baseline_name for score in results.values() if score.baseline_name}
    several, sure = len(results) > 1, any(score.intervals for score in results.values())
    title = f"step {step:,}" if several else ", ".join([*results, f"step {step:,}"])
    why: dict[str, dict[str, None]] = {}
    for metric, text in (pair for score in results.values() for pair in score.reasons.items()):
        why.setdefault(text, {})[metric] = None
    told = [f"{', '.join(named)}: {text}" for text, named in why.items()]
    caption = "; ".join(filter(None, [below, f"baseline: {', '.join(sorted(names))}" if names else "", *told])) or None
    table = Table(box=SIMPLE_HEAD, title=title, caption=caption, collapse_padding=True, pad_edge=False)
    columns = [*(["task"] if several else []), "metric", "score", *(["95 %"] if sure else [])]
    for column in (*columns, "painted", "ceiling", "identity", "baseline"):
        table.add_column(column, justify="left" if column in {"task", "metric"} else "right", no_wrap=True)
    for name, score in results.items():
        for metric, value in score.metrics.items():
            cells = [*([name] if several else []), metric, _cell(value)]
            cells += [_interval(score.intervals.get(metric))] if sure else []
            parts = (score.painted, score.ceiling, score.identity, score.baseline)
            table.add_row(*[cell or "-" for cell in (*cells, *(_cell(part.get(metric)) for part in parts))])
    return table


def _cell(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def _interval(bounds: Interval) -> str:
    return "" if bounds is None else f"[{bounds[0]:.3f}, {bounds[1]:.3f}]"
