"""The blocks of README.md and docs/*.md do what they say: each is run in a fresh folder, or tells why it is not."""

import re
import sys

import pytest
from page_blocks import PAGES, SHELL, WHOLE, Block, blocks, commands, understood
from small_models import ROOT

BLOCKS = blocks()
SHOWN = [block for block in BLOCKS if block.language in SHELL and not block.is_run and not block.runs_elsewhere]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A fresh folder with the project's configurations, to which a block may add its own."""
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    for path in (ROOT / "configs").iterdir():
        if path.name != "experiment":
            (tmp_path / "configs" / path.name).symlink_to(path)
    for path in (ROOT / "configs" / "experiment").iterdir():
        (tmp_path / "configs" / "experiment" / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def cases(chosen):
    return [pytest.param(block, id=block.name, marks=[pytest.mark.slow] * block.slow) for block in chosen]


@pytest.mark.parametrize("block", cases(block for block in BLOCKS if block.is_run))
def test_a_block_runs_in_a_fresh_folder(folder, block: Block):
    block.example.document.namespace.clear()
    block.evaluate()


@pytest.mark.parametrize("block", SHOWN, ids=lambda block: block.name)
def test_commands_are_understood(block: Block):
    for words in commands(block.example.parsed):
        understood(words)


def test_most_pages_have_blocks_and_some_run():
    assert len(PAGES) > 15
    assert len({block.example.path for block in BLOCKS}) > 15
    assert sum(block.is_run for block in BLOCKS) > 15


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_in_blocks_that_name_their_language(page):
    language = None
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            language = line[3:] if language is None else None
        assert language != "" or not line.startswith("idiff "), f"{line}: begin its block with ```sh"
    assert language is None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_test_that_a_page_names_exists(page):
    for note in WHOLE.findall(page.read_text(encoding="utf-8")):
        named = re.search(r"run by (tests/\S+\.py)", note)
        assert named is None or (ROOT / named[1]).is_file()
