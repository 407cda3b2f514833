"""Histograms of the scores of a set, with the thresholds drawn in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from idiff.curation.quality.choose import Thresholds
from idiff.curation.quality.scores import Rows
from idiff.utils.files import atomic


def plot(scores: Rows, path: Path, *, kept: NDArray[np.int64], thresholds: Thresholds) -> None:
    """Draw a histogram of each kind of score: all samples, and those that stay.

    Args:
        scores: of all samples, see `quality.scores.ROW`.
        path: the PNG to write.
        kept: positions of those that stay.
        thresholds: drawn as lines.

    Raises:
        DataError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    giqa = np.log10(scores["giqa"])
    panels = {
        "aesthetic score of the source": (
            scores["source"],
            thresholds.aesthetic if not scores["paired"].any() else None,
        ),
        "aesthetic score of the target": (scores["target"], thresholds.aesthetic),
        "difference of the two": (np.abs(scores["target"] - scores["source"]), thresholds.difference),
        "log10 of the GIQA score": (
            giqa,
            np.log10(thresholds.giqa) if thresholds.giqa and thresholds.giqa > 0 else None,
        ),
    }
    shown = {name: panel for name, panel in panels.items() if np.isfinite(panel[0]).any()}
    figure = Figure(figsize=(4 * max(len(shown), 1), 3), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (name, (values, limit)) in enumerate(shown.items()):
        axes = figure.add_subplot(1, len(shown), place + 1)
        stay = values[kept]
        edges = np.histogram_bin_edges(values[np.isfinite(values)], bins=40).tolist()
        axes.hist(values[np.isfinite(values)], edges, color="0.75", label=f"all {len(values):,}")
        axes.hist(stay[np.isfinite(stay)], edges, color="tab:blue", label=f"kept {len(kept):,}")
        if limit is not None:
            axes.axvline(float(limit), color="tab:red", label=f"{limit:g}")
        axes.set_xlabel(name)
        axes.legend(fontsize="small")
    with atomic(path) as stream:
        figure.savefig(stream, format="png", dpi=100, metadata={"Software": None})
