"""The table of a study, out of its results.json.

python tools/study_tables.py runs/study/results.json
python tools/study_tables.py docs/study-results.json --write docs/study.md
"""

import argparse
import json
from pathlib import Path

SHOWN = {
    "ap": "AP", "pck": "PCK@0.1", "pck05": "PCK@0.05", "miou": "mIoU", "mciou": "mcIoU", "psnr": "PSNR, dB", "ssim": "SSIM",
}  # fmt: skip


def tables(results):
    """Markdown: each metric of each set, for the generalist, its specialist, the blind baseline and the ceiling.

    A generalist that trained longer, under `longer`, has a column of its own.
    """
    longer = results.get("longer")
    more = f" {longer['minutes']:.0f} minutes |" if longer else ""
    lines = [
        f"| set | images | metric | generalist |{more} specialist | ratio | blind baseline | ceiling |",
        f"|---|---|---|---|---|---|---|---|{'---|' if longer else ''}",
    ]
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
                "-" if other is None else f"{other:.3f}",
                "-" if not other else f"{own / other:.2f}",
                "-" if low is None else f"{low:.3f}",
                "-" if found["ceiling"].get(key) is None else f"{found['ceiling'][key]:.3f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
            first = False
    return "\n".join(lines) + "\n"


def between(value, interval):
    """A figure with its interval."""
    return f"{value:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


BEGIN, END = "<!-- table of make study: begin -->", "<!-- table of make study: end -->"


def written(page, results):
    """A page with the table between its two marks."""
    head, rest = page.split(BEGIN)
    return f"{head}{BEGIN}\n\n{tables(results)}\n{END}{rest.split(END)[1]}"


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="OUT/results.json")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page, between its marks")
    options = parser.parse_args(words)
    if not options.results.is_file():
        parser.error(f"{options.results} is missing: expected the results.json of a study")
    results = json.loads(options.results.read_text(encoding="utf-8"))
    if options.write:
        options.write.write_text(written(options.write.read_text(encoding="utf-8"), results), encoding="utf-8")
    else:
        print(tables(results))


if __name__ == "__main__":
    main()
