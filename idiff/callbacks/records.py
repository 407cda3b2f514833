"""What a run folder keeps of each validation: a table of figures, and the images."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from idiff.callbacks.examples import Example, Examples
from idiff.callbacks.scoring import Score
from idiff.metrics.bootstrap import Interval
from idiff.reporting.results import FIELDS, read_results
from idiff.types import Picture
from idiff.utils.files import write_atomic
from idiff.utils.images import grid, row_boxes, write_png

HEADERS = ("source", "edited", "target", "decoded")

__all__ = ["FIELDS", "HEADERS", "append_results", "draw_grids", "read_results", "render_table", "write_worst"]


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


def draw_grids(folder: str | Path, examples: Mapping[str, Examples], *, step: int) -> dict[str, Picture]:
    """Lay out each task's rows source / edited / target / decoded, each over its score, sentence and key.

    They are written under `samples/`, with a JSON file of the same name that says what the rows are.

    Returns:
        the grid of each task, uint8 (H, W, 3).
    """
    drawn = {}
    for name, kept in examples.items():
        if kept.shown:
            file = f"{name}_{step:07d}"
            drawn[name] = _write_rows(Path(folder) / "samples", file, kept.shown, kept, task=name, step=step)
    return drawn


def write_worst(folder: str | Path, examples: Mapping[str, Examples], *, step: int) -> None:
    """Write the samples of each task with the lowest scores of one validation under `worst/`, over those of the last one."""
    for name, kept in examples.items():
        if kept.worst:
            _write_rows(Path(folder) / "worst", name, kept.worst, kept, task=name, step=step)


def _write_rows(folder: Path, file: str, rows: list[Example], kept: Examples, *, task: str, step: int) -> Picture:
    """Write rows as `file.png`, and as `file.json` what each is and where."""
    headline = kept.task.headline
    captions = [_caption(example, headline) for example in rows]
    picture = grid([example.pictures for example in rows], HEADERS, captions, below=True)
    path = write_png(picture, folder, file)
    boxes = row_boxes(len(rows), len(HEADERS))
    described: dict[str, Any] = {"task": task, "step": step, "headline": headline, "scored": kept.scored}
    described["columns"] = list(HEADERS)
    described["rows"] = [
        {"key": each.key, "sentence": each.sentence, "asked": each.asked, "score": each.score, "box": box}
        for each, box in zip(rows, boxes, strict=True)
    ]
    write_atomic(path.with_suffix(".json"), json.dumps(described, ensure_ascii=False))
    return picture


def _caption(example: Example, headline: str) -> str:
    score = "" if example.score is None else f"{headline} {example.score:.3f}   "
    return f"{score}{example.sentence}   ({example.key})"


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
