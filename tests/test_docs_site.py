"""The docs site: the drawing is current, a page for each task and data set, and what troubleshooting quotes is said by the code."""

import re
import subprocess
import sys

import pytest
import yaml
from small_models import ROOT

from idiff.data.sources import SOURCES

QUOTED = re.findall(r"^\| `([^`]+)`", (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
CODE = " ".join(
    re.sub(r"['\"]\s+f?r?['\"]", "", path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "idiff").rglob("*.py"))
)
"""All source, with literals joined that continue on the next line."""


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import docs_pages

    return docs_pages


@pytest.mark.parametrize("message", QUOTED)
def test_a_message_of_troubleshooting_is_said_by_the_code(message):
    assert message in CODE


def test_the_drawing_of_the_data_flow_is_current(pages):
    import drawings

    assert drawings.OUT.read_text(encoding="utf-8").rstrip() == drawings.data_flow(), "run `python tools/drawings.py`"


def test_every_task_and_data_set_has_a_page(pages, tmp_path):
    pages.write(tmp_path)
    made = {str(path.relative_to(tmp_path).with_suffix("")) for path in tmp_path.rglob("*.md")}
    assert {f"sources/{name}" for name in SOURCES} <= made
    assert {f"tasks/{path.stem}" for path in (ROOT / "configs" / "task").glob("*.yaml")} <= made
    assert {"security", "contributing", "quickstart", "api/pipeline"} <= made
    (tmp_path / "old.md").write_text("of a task that is gone")
    pages.write(tmp_path)
    assert not (tmp_path / "old.md").exists()


def test_links_out_of_the_docs_lead_to_the_copies(pages):
    shown = pages.for_the_site("[a](../SECURITY.md#x) [b](data.md) [c](https://a.b/c.md) [d](../setup.cfg)", "page")
    assert shown == "[a](/_generated/security.md#x) [b](data.md) [c](https://a.b/c.md) [d](../setup.cfg)"
    assert pages.for_the_site("[a](docs/data.md)", "_generated/quickstart") == "[a](/data.md)"


def test_a_mermaid_graph_is_drawn_with_every_arrow(pages):
    shown = pages.for_the_site(
        "```mermaid\ngraph TD\n    top --> low & other\n    other --> low\n    alone\n```", "page"
    )
    assert shown.count("marker-end") == 3
    assert all(f">{name}</text>" in shown for name in ("top", "low", "other", "alone"))


def test_a_page_that_the_index_forgets_is_listed_with_the_project(pages, tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    for name in ("index", "data", "forgotten"):
        (tmp_path / "docs" / f"{name}.md").write_text("# x")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    shown = pages.for_the_site("# Index\n\n## Data\n\n- [d](data.md)\n\n## Project\n\n- [s](../SECURITY.md)", "index")
    data, project = re.findall(r"```\{toctree\}(.*?)```", shown, re.DOTALL)
    assert "data" in data.split() and "_generated/sources/index" in data
    assert project.split()[-2:] == ["_generated/security", "forgotten"]


def test_forms_and_workflow_are_yaml_that_runs_the_gate():
    gate = yaml.safe_load((ROOT / ".github" / "workflows" / "gate.yaml").read_text(encoding="utf-8"))
    assert [step["run"] for step in gate["jobs"]["gate"]["steps"] if "run" in step] == ["bash .ci/run"]
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [set(yaml.safe_load(form.read_text(encoding="utf-8"))) for form in forms if form.stem != "config"] == [
        {"name", "description", "labels", "body"}
    ] * 2


def test_the_commands_of_the_readme_are_found_in_their_order(tmp_path):
    words = [sys.executable, str(ROOT / "tools" / "readme_commands.py"), str(ROOT / "README.md"), str(tmp_path / "all")]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    files = sorted((tmp_path / "all").iterdir())
    assert said == f"{len(files)} commands in README.md\n"
    lines = [file.read_text() for file in files]
    assert lines[:2] == ["make setup\n", "source .venv/bin/activate\n"]
    assert [file.suffix for file in files].count(".py") == 1
    assert not [line for line in lines if "PATH" in line or "PHOTO" in line]
    first = [" ".join(line.split()[:2]) for line in lines]
    wanted = ["idiff segment", "idiff data", "idiff fit", "idiff validate", "idiff predict", "idiff export"]
    assert [first.index(one) for one in wanted] == sorted(first.index(one) for one in wanted)
