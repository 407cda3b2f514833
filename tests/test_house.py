"""`tools/house.py` counts what it says, and the map in docs/architecture.md is of today's imports."""

import json
import re

import pytest
from small_models import ROOT

PAGE = ROOT / "docs" / "architecture.md"
RUN = "\n".join(f"        total += weigh(item, {number})" for number in range(6))
FILES = {
    "__init__.py": '"""The package."""\n',
    "errors.py": '"""Errors."""\n',
    "low/__init__.py": '"""Low."""\n',
    "low/one.py": f'"""One.\n\nMore.\n"""\n\nimport os  # not a line of comment\n\n# a comment\n\n\ndef f(items):\n{RUN}\n',
    "low/two.py": f"from idiff.errors import x\n\n\ndef g(items):\n    # here it is again\n\n{RUN}\n",
    "high/__init__.py": '"""High."""\n',
    "high/three.py": "def late():\n    from ..low import one\n    return one, 'idiff.errors', 'idiff.late:x'\n",
}
TABLE = """
EVERYWHERE = {"errors"}
MAY_IMPORT = {"low": set(), "high": {"low"}}
LOWEST = {"errors": set()}
TOP = {"__init__"}
CORE = set(MAY_IMPORT) - TOP
"""


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import house

    return house


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "idiff" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_layers.py").write_text(TABLE)
    return tmp_path


def test_files_and_lines_are_counted_by_kind(tool, checkout):
    figures = tool.house(checkout, traced=False)
    assert figures["files"] == 7
    assert figures["files a folder"] == {"idiff/low": 3, "idiff": 2, "idiff/high": 2}
    assert figures["largest file"] == {"file": "low/one.py", "lines": 17}
    assert figures["median file"] == 1
    lines = figures["lines"]
    assert lines == {"all": 36, "docstring": 8, "comment": 2, "code": 19, "blank": 7}


def test_arrows_are_seen_in_functions_and_strings(tool, checkout):
    figures = tool.house(checkout, traced=False)
    assert tool.arrows(checkout / "idiff") == {
        "__init__": set(), "errors": set(), "low": {"errors"}, "high": {"low", "errors"}
    }  # fmt: skip
    assert (figures["arrows"], figures["upward arrows"], figures["cycles"]) == (3, [], [])


def test_an_upward_arrow_and_its_circle_are_named(tool, checkout):
    (checkout / "idiff" / "low" / "three.py").write_text("import idiff.high.three\n")
    figures = tool.house(checkout, traced=False)
    assert figures["upward arrows"] == ["low -> high"]
    assert figures["cycles"] == [("high", "low")]
    (checkout / "tests" / "test_layers.py").unlink()
    assert tool.house(checkout, traced=False)["upward arrows"] is None


def test_repeated_runs_are_found_once_at_full_length(tool, checkout):
    assert tool.house(checkout, traced=False)["repeated runs"] == {
        "pairs": 1, "lines": 12, "runs": [(6, "low/one.py:12", "low/two.py:7")]
    }  # fmt: skip
    longer = "\n".join(f"x = {number}" for number in range(9))
    assert tool.repeated({"a": longer, "b": longer})["runs"] == [(9, "a:1", "b:1")]
    assert tool.repeated({"a": longer + "\ny = 0\n" + longer})["runs"] == [(9, "a:1", "a:11")]
    assert tool.repeated({"a": longer, "b": longer.replace("x = 4", "x = 40")})["pairs"] == 0
    imports = "\n".join(f"import m{number}" for number in range(9))
    assert tool.repeated({"a": imports, "b": imports})["pairs"] == 0


def test_the_command_prints_a_table_and_writes_json(tool, checkout, capsys):
    assert tool.main([str(checkout), "--no-walks", "--json", str(checkout / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "code 19, docstring 8, comment 2, blank 7" in said
    assert "idiff/low 3" in said
    assert json.loads((checkout / "figures.json").read_text())["arrows"] == 3


def test_the_graph_leaves_out_what_follows(tool, checkout):
    (checkout / "idiff" / "top.py").write_text('"""Top."""\nimport idiff.high, idiff.low\n')
    (checkout / "tests" / "test_layers.py").write_text(TABLE.replace('"high": {', '"top": {"high", "low"}, "high": {'))
    drawing = tool.drawing(checkout)
    assert "high --> low" in drawing
    assert "top --> high" in drawing
    assert "top --> low" not in drawing
    assert "| `top` | Top. | high, low |" in drawing


def test_the_map_in_the_docs_is_of_todays_imports(tool):
    text = PAGE.read_text(encoding="utf-8")
    assert tool.drawn_into(text, tool.drawing(ROOT)) == text, "run `python tools/house.py --draw`"


def test_files_that_the_page_names_exist():
    names = set(re.findall(r"`([a-z_/]+(?:\.py|/))`", PAGE.read_text(encoding="utf-8"))) - {"idiff/"}
    assert len(names) > 20
    places = (ROOT / "idiff", ROOT)
    assert [name for name in sorted(names) if not any((place / name).exists() for place in places)] == []


def test_a_walk_counts_the_functions_of_one_package(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.syspath_prepend(str(tmp_path))
    from house_walks import Walk, hops

    (tmp_path / "walked").mkdir()
    (tmp_path / "walked" / "a.py").write_text(
        "class C:\n    def m(self): return [len(x) for x in ('',)]\ndef f(): return C().m()\ndef unused(): pass\n"
    )
    from walked.a import f

    walk = Walk(tmp_path / "walked")
    assert walk.during("outer", lambda: walk.during("inner", f)) == [0]
    assert walk.seen == {"outer": {"a.py:f", "a.py:C.m"}}
    assert hops(["a.py:f", "a.py:C.m", "b.py:g", "a.py:f"]) == {"functions": 3, "files": 2}
