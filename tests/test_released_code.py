"""docs/released-code.md names a test against each mistake of the released code: each of them is there."""

import ast
import re

from small_models import ROOT

PAGE = (ROOT / "docs" / "released-code.md").read_text(encoding="utf-8")


def named():
    """(file, test) pairs; `::test` goes on with the file before it."""
    file = ""
    for path, test in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", PAGE):
        file = path or file
        yield file, test


def test_every_test_that_the_page_names_exists():
    pairs = list(named())
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and "the mistake" not in line]
    assert len(rows) >= 9 and all("::test_" in row for row in rows)
    for file, test in pairs:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"
