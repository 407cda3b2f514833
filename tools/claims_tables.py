"""Tables and curves of few images and of the paper's claims, out of the results.json of `make study-claims`.

python tools/claims_tables.py runs/study/claims/results.json
python tools/claims_tables.py docs/study-claims.json --write docs/study.md

`--write` also draws the curves of few images beside the page, as few-images.png.
"""

import statistics
from collections.abc import Sequence

from matplotlib.figure import Figure
from study_tables import SHOWN, show

from idiff.evaluation.tuning_plots import save_png

NAME = "make study-claims"
Arms = dict[str, dict[str, dict]]
"""Arm -> what it is judged on -> its metric, and the values of every seed."""


def mean(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def pivot(arms: Arms, judged: Sequence[str], *, least: int = 1) -> list[str]:
    """Markdown: a row for each arm that has at least `least` of some scores, a column for each score."""
    metrics = {title: row["metric"] for rows in arms.values() for title, row in rows.items()}
    columns = [title for title in judged if title in metrics]
    rows = {name: [title for title in columns if title in found] for name, found in arms.items()}
    kept = [name for name, found in rows.items() if len(found) >= least]
    if not kept:
        return []
    heads = " | ".join(f"{title}: {SHOWN[metrics[title]]}" for title in columns)
    lines = [f"| arm | seeds | {heads} |", "|---|---|" + "---|" * len(columns)]
    for name in kept:
        cells = [mean(arms[name][title]["values"]) if title in rows[name] else "-" for title in columns]
        seeds = max(len(arms[name][title]["values"]) for title in rows[name])
        lines.append(f"| {name} | {seeds} | {' | '.join(cells)} |")
    return [*lines, ""]


def few(arms: Arms) -> dict[str, dict[int, dict[str, float]]]:
    """Set -> images -> the mean of ours and of the specialist's, where both are there."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, rows in arms.items():
        if name.startswith("few "):
            _, of, images = name.split()
            found.setdefault(of, {})[int(images)] = {
                title: statistics.mean(row["values"]) for title, row in rows.items()
            }
    return found


def tables(results: dict) -> str:
    """All that the arms that have ended say, as Markdown."""
    arms: Arms = results["arms"]
    lines: list[str] = []
    if points := few(arms):
        lines += ["| set | images | metric | idiff | specialist |", "|---|---|---|---|---|"]
        for name, counts in points.items():
            metric = SHOWN[arms[f"few {name} {min(counts)}"][name]["metric"]]
            for place, (images, row) in enumerate(sorted(counts.items())):
                cells = [f"{row[title]:.3f}" if title in row else "-" for title in (name, "specialist")]
                lines.append(
                    f"| {'' if place else name} | {images} | {'' if place else metric} | {' | '.join(cells)} |"
                )
        lines.append("")
    claims = {name: rows for name, rows in arms.items() if not name.startswith("few ")}
    titles = list(dict.fromkeys(title for rows in claims.values() for title in rows))
    asked = [title for title in titles if title.startswith("clothing, ") and "phrasings" not in title]
    unseen = [title for title in titles if "unseen" in title]
    seen = [title for title in titles if title not in asked + unseen]
    lines += [*pivot(claims, seen), *pivot(claims, unseen), *pivot(claims, [*seen[-1:], *asked], least=2)]
    return "\n".join(lines)


def curves(results: dict) -> Figure | None:
    """A panel for each set: its score over the number of images, ours and the specialist's. None without arms of few images."""
    points = few(results["arms"])
    if not points:
        return None
    figure = Figure(figsize=(3.2 * len(points), 2.6), layout="constrained")
    for place, (name, counts) in enumerate(points.items()):
        axes = figure.add_subplot(1, len(points), place + 1)
        images = sorted(counts)
        for title, style in ((name, {"color": "tab:blue", "label": "idiff"}), ("specialist", {"color": "tab:gray"})):
            values = [counts[count].get(title, float("nan")) for count in images]
            axes.plot(images, values, marker="o", **{"label": title, **style})
        axes.set(xscale="log", xticks=images, xticklabels=images, ylim=(0, 1), xlabel="training images")
        axes.minorticks_off()
        axes.set_title(f"{name}, {SHOWN[results['arms'][f'few {name} {images[0]}'][name]['metric']]}", fontsize=9)
    figure.axes[0].legend(fontsize=8)
    return figure


def main(words: list[str] | None = None) -> None:
    results, page = show(words, about=__doc__, name=NAME, key="arms", tables=tables)
    if page is not None and (figure := curves(results)) is not None:
        save_png(figure, page.parent / "few-images.png")


if __name__ == "__main__":
    main()
