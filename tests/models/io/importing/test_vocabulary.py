"""CLIP's vocabulary, from a folder or an installed package; nothing is guessed."""

import gzip
import hashlib
import json

import pytest

from idiff.errors import CheckpointError
from idiff.models.io.importing import vocabulary
from idiff.models.text import builtin_tokenizer


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that brings a vocabulary in the form that CLIP's authors publish."""
    letters = vocabulary._letters()
    merges = [f"{one} {other}" for one in letters for other in letters][: vocabulary.MERGES]
    lines = ["#version: 0.2", *merges, "left out", "after the last"]
    package = tmp_path / "open_clip"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    packed = gzip.compress("\n".join(lines).encode())
    (package / vocabulary.FILE).write_bytes(packed)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / vocabulary.FILE


def test_a_written_tokenizer_numbers_as_the_packages_own_does(tmp_path):
    merges = (builtin_tokenizer() / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
    folder = vocabulary.write_tokenizer(merges, tmp_path / "tokenizer")
    written, own = (
        json.loads((place / "vocab.json").read_text(encoding="utf-8")) for place in (folder, builtin_tokenizer())
    )
    assert written == own


def test_an_installed_package_is_found_and_not_imported(installed, tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "SHA256", hashlib.sha256(installed.read_bytes()).hexdigest())
    tokenizer, origin = vocabulary.find_tokenizer(
        None, file=tmp_path / "x.ckpt", tokens=vocabulary.TOKENS, into=tmp_path / "made"
    )
    assert len(tokenizer) == vocabulary.TOKENS == tokenizer.eos_token_id + 1
    assert tokenizer.bos_token_id == 49_406
    assert "MIT" in origin


def test_another_file_of_that_name_is_refused(installed, tmp_path):
    with pytest.raises(CheckpointError, match="is not CLIP's vocabulary"):
        vocabulary.find_tokenizer(None, file=tmp_path / "x.ckpt", tokens=vocabulary.TOKENS, into=tmp_path / "made")


def test_without_one_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "PACKAGES", ())
    with pytest.raises(CheckpointError, match=r"give --tokenizer DIR.*open_clip_torch.*--hub"):
        vocabulary.find_tokenizer(None, file=tmp_path / "x.ckpt", tokens=vocabulary.TOKENS, into=tmp_path / "made")
    with pytest.raises(CheckpointError, match="2,014 tokens that its text encoder was trained with"):
        vocabulary.find_tokenizer(None, file=tmp_path / "x.ckpt", tokens=2014, into=tmp_path / "made")
