"""docs/tasks.md: its table has every task, and its tool measures what the page says."""

import re

import pytest
from small_models import ROOT

PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
TASKS = sorted((ROOT / "configs" / "task").glob("*.yaml"))


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import task_table

    return task_table


def test_every_task_has_a_row():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE) == [path.stem for path in TASKS]


def test_the_tool_finds_what_a_task_says_of_itself(tool):
    vae = tool.load("tiny").backbone.autoencoder
    path = ROOT / "configs" / "task" / "depth.yaml"
    cells = tool.row(path, vae, 1).strip("| \n").split(" | ")
    written = next(line for line in PAGE.splitlines() if line.startswith("| `depth` |")).strip("| ").split(" | ")
    assert cells[:4] == written[:4]
    assert 0 <= float(cells[4]) <= 0.02 < float(cells[5]) < 0.2
