"""The page of a run: one file, everything escaped, of bounded size, and made of what is there."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browser import start_browser
from PIL import Image

from idiff.cli import main
from idiff.errors import ConfigError, DataError
from idiff.reporting import pictures
from idiff.reporting.curves import POINTS, charts, ticks
from idiff.reporting.page import write_report
from idiff.reporting.results import FIELDS, write_figures
from idiff.reporting.run import read_run

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"


class Tags(HTMLParser):
    """All start tags of a page, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def write_run(folder, *, steps=(0, 10, 20), task="shapes", rows=2, word="paint it", score=0.1, lr="0.1"):
    """A run folder as a fit leaves it, without the checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [",".join(FIELDS)]
    lines += [f"{step},{task},miou,{score + step / 100:.4f},0.9000,0.0500,0.0700,largest_class,8" for step in steps]
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    write_figures(folder, {"train/loss": [(step, 1 / (step + 1)) for step in range(1, 21)]})
    (folder / "config.yaml").write_text(f"model:\n  init_args:\n    lr: {lr}\nnote: {json.dumps(word)}\n")
    info = {
        "commands": [{"command": f"idiff fit --config {word}", "started": "today", "step": 0}],
        "environment": {"python": word},
        "data": [{"task": task, "split": "train", "folder": word, "source": "coco", "samples": 5, "items": 9,
                  "unit": "picture", "funnel": [["found", 7], [word, 5]]}],
        "progress": {"step": 10, "total": 20, "seconds_left": 7500, "state": "training", "updated": word},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(info))
    for place, names in (("samples", [f"{task}_{step:07d}" for step in steps]), ("worst", [task])):
        (folder / place).mkdir(exist_ok=True)
        for name in names:
            Image.fromarray(np.full((20 * rows, 80, 3), 90, np.uint8)).save(folder / place / f"{name}.png")
            listed = [
                {
                    "key": f"{word} {row}",
                    "sentence": f"{word}!",
                    "asked": 2,
                    "score": 0.25,
                    "box": [0, 20 * row, 80, 20 * row + 20],
                }
                for row in range(rows)
            ]
            content = {
                "task": task,
                "step": steps[-1],
                "headline": "miou",
                "scored": 8,
                "columns": ["source", "edited"],
            }
            (folder / place / f"{name}.json").write_text(json.dumps(content | {"rows": listed}))
    return folder


def test_the_page_shows_scores_bounds_images_data_command_and_what_is_left(tmp_path):
    page = write_report(write_run(tmp_path / "run")).read_text()
    text = " ".join(" ".join(Tags(page).text).split())
    expected = [
        "step 10 of 20",
        "2 h 05 min left",
        "ceiling 0.9",
        "identity 0.05",
        "baseline 0.07",
        "train/loss",
        "found: 7",
    ]
    expected += [
        "idiff fit --config paint it",
        "lr: 0.1",
        "paint it 1",
        "miou 0.25",
        "the 2 lowest miou",
        "of the 8 samples",
        "9 picture",
    ]
    for shown in expected:
        assert shown in text, shown
    tags = Tags(page).tags
    assert sum(tag == "img" for tag, _ in tags) == 3 * 2 + 2
    assert sum(attrs.get("class") == "frame" for _, attrs in tags) == 3
    assert sum(tag == "polyline" for tag, _ in tags) == 2
    assert sum("level" in (attrs.get("class") or "") for _, attrs in tags) == 3


def test_the_page_loads_nothing_and_escapes_everything(tmp_path):
    folder = write_run(tmp_path / "a<b>&", word=HOSTILE)
    rows = (
        (folder / "results.csv").read_text().replace("shapes", '"<i onclick=alert(1)>"').replace("largest_class", "<u>")
    )
    (folder / "results.csv").write_text(rows)
    page = write_report(folder).read_text()
    found = Tags(page)
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert not {tag for tag, _ in found.tags} & {"i", "u", "iframe", "object", "link"}
    for tag, attrs in found.tags:
        assert not any(name.startswith("on") for name in attrs), (tag, attrs)
        assert all((attrs.get(name) or "data:").startswith("data:") for name in ("src", "href")), (tag, attrs)
    assert not re.search(r"https?://", page)
    assert HOSTILE in " ".join(found.text)
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy


def test_size_is_bounded_and_it_says_what_is_left_out(tmp_path, monkeypatch):
    folder = write_run(tmp_path / "run", steps=tuple(range(0, 400, 10)), rows=9)
    page = write_report(folder).read_text()
    assert sum(tag == "img" for tag, _ in Tags(page).tags) == pictures.STEPS * pictures.ROWS + 9
    assert "10 of 40 validations are shown" in page and "6 of 9 samples are shown" in page
    monkeypatch.setattr(pictures.Gallery.__init__, "__defaults__", (9000, *pictures.Gallery.__init__.__defaults__[1:]))
    small = write_report(folder).read_text()
    assert len(small) < len(page) and "the page is full" in small
    assert "shapes_0000390.png is not shown" not in small  # the newest comes first


def test_images_of_another_run_and_damaged_ones_are_left_out(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "samples" / "shapes_0000010.png").write_bytes(b"no image")
    (folder / "samples" / "shapes_0000020.json").write_text("[1, 2")
    (folder / "samples" / "shapes_0000999.png").write_bytes((folder / "samples" / "shapes_0000000.png").read_bytes())
    page = write_report(folder).read_text()
    assert "shapes_0000010.png cannot be shown" in page
    assert "0000999" not in page
    assert sum(tag == "img" for tag, _ in Tags(page).tags) == 2 + 1 + 2  # what has no list of rows is shown whole


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"progress": [], "data": [3, {"funnel": [1, [2]]}, {"funnel": 3}], "commands": {"a": 1}}',
        '{"progress": {"step": "x", "total": [], "seconds_left": "y"}}',
    ],
)
def test_a_damaged_record_is_no_obstacle(tmp_path, content):
    folder = write_run(tmp_path / "run")
    (folder / "run.json").write_text(content)
    (folder / "config.yaml").write_text("a: [")
    assert "ceiling 0.9" in write_report(folder).read_text()


def test_runs_are_compared(tmp_path, capsys):
    first, second = write_run(tmp_path / "one"), write_run(tmp_path / "two", score=0.3, lr="0.2")
    assert main(["report", str(first), str(second)]) == 0
    assert capsys.readouterr().out.strip() == str(first / "comparison.html")
    found = Tags((first / "comparison.html").read_text())
    assert sum(tag == "polyline" for tag, _ in found.tags) == 4
    text = " ".join(" ".join(found.text).split())
    assert "Settings that differ setting one two model.lr 0.1 0.2" in text
    assert "0.5" in text  # the last score of the second run
    assert not (first / "report.html").exists()


def test_what_is_no_run_is_refused_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    for words in (
        [str(tmp_path / "none")],
        [str(tmp_path / "empty")],
        [],
        [str(write_run(tmp_path / "run")), "--out", "/no/x"],
    ):
        assert main(["report", *words]) == 2
        assert capsys.readouterr().err.startswith("idiff: ")
    assert not list(tmp_path.rglob("*.html"))
    with pytest.raises(ConfigError, match="not a run folder"):
        read_run(tmp_path / "empty")
    (tmp_path / "run" / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a table of scores"):
        read_run(tmp_path / "run")


def test_long_curves_are_thinned_and_wide_ones_logarithmic(tmp_path):
    folder = write_run(tmp_path / "run")
    write_figures(
        folder, {"train/loss": [(step, 100.0 / step) for step in range(1, 5000)], "val/a/loss": [(0, float("nan"))]}
    )
    found = charts([read_run(folder)])
    assert list(found) == ["shapes", "training"]  # a chart without a point is left out
    (chart,) = found["training"]
    assert chart.logarithmic and 100 < len(chart.lines[0].path.split()) <= POINTS
    assert [text for _, text in chart.y_ticks] == ["0.1", "1", "10"]


def test_ticks_are_round_numbers_inside():
    assert ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3, 7, 4) == [0, 5]
    assert ticks(2, 2, 4) == [2]


def test_the_slider_shows_one_validation_at_a_time(tmp_path):
    path = write_report(write_run(tmp_path / "run"))
    driver = start_browser(tmp_path / "profile")
    try:
        for width in (1280, 390):
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600},
            )
            driver.get(path.as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth") <= width
        seen = "return [...document.querySelectorAll('.frame')].map(each => each.offsetHeight > 0)"
        assert driver.execute_script(seen) == [False, False, True]
        move = "const s = document.querySelector('input'); s.value = 0; s.dispatchEvent(new Event('input'));"
        driver.execute_script(move)
        assert driver.execute_script(seen) == [True, False, False]
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    finally:
        driver.quit()
