"""The tables of a run folder: `results.csv`, scores beside ceiling and floors, and `figures.csv`, all other numbers."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path

from idiff.errors import DataError
from idiff.utils.files import write_atomic

FIELDS = ("step", "task", "metric", "score", "ceiling", "identity", "guess", "guess_name", "samples")
"""Columns of `results.csv`. The column `guess` has the blind baseline, `guess_name` its name."""

FIGURES = ("step", "name", "value")
"""Columns of `figures.csv`."""

Figures = dict[str, list[tuple[int, float]]]
"""Name of a figure -> (step, value), in the order of the steps."""


def read_results(folder: str | Path) -> list[dict[str, str]]:
    """Rows of `results.csv`; none where there is no such file.

    Raises:
        DataError: it is not text, or has other columns.
    """
    path = Path(folder) / "results.csv"
    if not path.is_file():
        return []
    rows = _rows(path)
    if rows and not set(FIELDS) <= rows[0].keys():
        raise DataError(f"{path} is not a table of scores: expected the columns {', '.join(FIELDS)}. Remove it.")
    return rows


def read_figures(folder: str | Path) -> Figures:
    """What `figures.csv` has; nothing where there is no such file. Lines that are not numbers are left out."""
    path = Path(folder) / "figures.csv"
    found: Figures = {}
    if path.is_file():
        for row in _rows(path):
            try:
                step, value = int(row["step"]), float(row["value"])
            except (KeyError, TypeError, ValueError):
                continue
            found.setdefault(row["name"] or "", []).append((step, value))
    return found


def write_figures(folder: str | Path, figures: Figures) -> None:
    """Write `figures.csv`."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FIGURES)
    writer.writerows((step, name, f"{value:.6g}") for name, points in figures.items() for step, value in points)
    write_atomic(Path(folder) / "figures.csv", text.getvalue())


def number(cell: str | None) -> float | None:
    """A cell as a finite number; None where it is empty or something else."""
    try:
        value = float(cell or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def steps_of(rows: Iterable[dict[str, str]]) -> list[int]:
    """The steps that were validated, in order."""
    return sorted({int(row["step"]) for row in rows if (row["step"] or "").isdigit()})


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(f"{path} cannot be read as a table: {error}. Remove it, or put the one back.") from None
