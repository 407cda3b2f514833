"""The table of a study, out of its results.json.

python tools/study_tables.py runs/study/results.json
python tools/study_tables.py docs/study-results.json --write docs/study.md
python tools/study_tables.py docs/photographs.json --write docs/results.md
"""

import argparse
import json
from pathlib import Path

SHOWN = {
    "ap": "AP", "pck": "PCK@0.1", "pck05": "PCK@0.05", "miou": "mIoU", "mciou": "mcIoU", "psnr": "PSNR, dB", "ssim": "SSIM",
}  # fmt: skip


def tables(results):
    """Markdown: each metric of each set, for the generalist, its specialist, the blind baseline and the ceiling.

    A generalist that trained longer, under `longer`, has a column of its own. Without specialists there are no columns of theirs.
    """
    longer, compared = results.get("longer"), any(found["specialist"] for found in results["sets"].values())
    titles = ["set", "images", "metric", "generalist", *([f"{longer['minutes']:.0f} minutes"] if longer else [])]
    titles += [*(["specialist", "ratio"] if compared else []), "blind baseline", "ceiling"]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name, found in results["sets"].items():
        first = True
        for key, title in SHOWN.items():
            if found["metrics"].get(key) is None:
                continue
            own, low = found["metrics"][key], found["guess"].get(key)
            low = found["identity"].get(key) if low is None else low
            interval = found["intervals"].get(key)
            other = (found["specialist"] or {}).get("metrics", {}).get(key)
            cells = [
                name if first else "",
                str(found["samples"]) if first else "",
                title,
                between(own, interval),
                *(
                    [between(*(longer["sets"][name][part].get(key) for part in ("metrics", "intervals")))]
                    if longer
                    else []
                ),
                *(
                    ["-" if other is None else f"{other:.3f}", f"{own / other:.2f}" if other else "-"]
                    if compared
                    else []
                ),
                "-" if low is None else f"{low:.3f}",
                "-" if found["ceiling"].get(key) is None else f"{found['ceiling'][key]:.3f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
            first = False
    return "\n".join(lines) + "\n"


def between(value, interval):
    """A figure with its interval."""
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


NAME, KEY = "make study", "sets"


def written(page, name, table):
    """A page with a table between the two marks of what printed it.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = (f"<!-- table of {name}: {side} -->" for side in ("begin", "end"))
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"no place for the table: expected the lines {begin} and {end}, once each")
    return f"{page.split(begin)[0]}{begin}\n\n{table}\n{end}{page.split(end)[1]}"


def show(words, *, about, name, key, tables):
    """The command of such a tool: prints the tables of a results.json, or puts them into a page.

    Args:
        words: of the command line; None: its own.
        about: the tool's docstring.
        name: of the command whose results these are, unless they name another.
        key: what its results.json holds.
        tables: results to Markdown.

    Returns:
        the results, and the page; None where they were printed.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help=f"the results.json of `{name}`")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into a page, between their marks")
    options = parser.parse_args(words)
    try:
        results = json.loads(options.results.read_text(encoding="utf-8"))
        page = options.write.read_text(encoding="utf-8") if options.write else None
    except (OSError, ValueError) as error:
        parser.error(f"{options.results} or the page cannot be read ({error}): expected the results.json of `{name}`")
    if not isinstance(results, dict) or key not in results:
        parser.error(f"{options.results} has no '{key}': expected the results.json of `{name}`")
    if page is None:
        print(tables(results))
        return results, None
    try:
        options.write.write_text(written(page, results.get("command", name), tables(results)), encoding="utf-8")
    except ValueError as error:
        parser.error(f"{options.write} has {error}")
    return results, options.write


def main(words=None):
    show(words, about=__doc__, name=NAME, key=KEY, tables=tables)


if __name__ == "__main__":
    main()
