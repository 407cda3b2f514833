"""The field's words are used, and the old ones stay only where files, keys and old configurations need them."""

import runpy

from small_models import ROOT

TOOL = runpy.run_path(str(ROOT / "tools" / "old_words.py"))


def test_no_old_word_is_left():
    assert TOOL["found"]() == []


def test_an_old_word_is_found(tmp_path, monkeypatch):
    (tmp_path / "idiff").mkdir()
    (tmp_path / "idiff" / "new.py").write_text("# a guess\nx = 'the goal'\n")
    monkeypatch.setitem(TOOL["found"].__globals__, "ROOT", tmp_path)
    assert TOOL["found"]() == ["idiff/new.py:1: guess -> baseline", "idiff/new.py:2: goal -> objective"]
