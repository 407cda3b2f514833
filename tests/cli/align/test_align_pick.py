"""`idiff align` and `idiff align pick`: words, errors of one sentence, and a clean end."""

import importlib.util
import re
import signal
import socket
import sys
import types

import pytest
from candidate_folders import write_candidates
from picker_server import Server

from idiff.cli import main

needs_packages = pytest.mark.skipif(
    not importlib.util.find_spec("fastapi") or not importlib.util.find_spec("uvicorn"), reason="needs idiff[serve]"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_candidates(tmp_path_factory.mktemp("candidates") / "set", samples=2, candidates=3)


def refused(capsys, *words):
    """The one sentence of a command that ends with exit code 2."""
    assert main(["align", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"idiff: .+\n", err), err
    return err


def test_help_names_the_parts(capsys):
    assert main(["align", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in ("generate", "pick", "build"))
    assert main(["align"]) == 2
    assert main(["align", "pick", "--help"]) == 0
    assert "--annotator NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["pck"], "did you mean 'pick'"),
        (["pick"], "DIR"),
        (["pick", "x", "--port", "99999"], "expected 0 to 65535"),
        (["pick", "x", "--port", "many"], "--port"),
        (["pick", "x", "--colour", "red"], "--colour"),
    ],
)
def test_words_that_mean_nothing(capsys, words, part):
    assert part in refused(capsys, *words)


@needs_packages
def test_folders_that_hold_nothing(capsys, tmp_path):
    assert "align.json is missing" in refused(capsys, "pick", str(tmp_path / "none"))
    empty = write_candidates(tmp_path / "empty", samples=0)
    assert "has no sample yet" in refused(capsys, "pick", str(empty))
    (empty / "align.json").write_text("{}")
    assert "schema" in refused(capsys, "pick", str(empty))


@needs_packages
def test_a_bad_name(capsys, folder):
    assert "expected 1 to 64 letters" in refused(capsys, "pick", str(folder), "--annotator", "../anna")


@needs_packages
def test_a_port_that_is_taken(capsys, folder):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = refused(capsys, "pick", str(folder), "--port", str(port))
    assert f"port {port} is taken by another program" in sentence


def test_packages_that_are_missing(capsys, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert 'pip install "idiff[serve]"' in refused(capsys, "pick", str(folder))


@pytest.mark.parametrize("words", [["--auto", "miou"], ["--auto=miou"]])
def test_picking_by_a_metric_is_handed_over(folder, monkeypatch, words):
    got = []
    auto = types.ModuleType("idiff.cli.align.auto")
    auto.run = lambda words: got.append(words) or 7
    monkeypatch.setitem(sys.modules, "idiff.cli.align.auto", auto)
    assert main(["align", "pick", str(folder), *words, "--floor", "0.5"]) == 7
    assert got == [[str(folder), *words, "--floor", "0.5"]]


@needs_packages
def test_it_ends_cleanly(folder):
    server = Server(folder, "--annotator", "anna")
    server.start()
    code, out, err = server.stop(signal.SIGINT)
    assert (code, err) == (0, "")
    first, second = out.splitlines()[:2]
    assert first == f"{folder}: 2 samples of editing, 0 of them decided by anna"
    assert second.startswith(f"{server.address}?annotator=anna  (Ctrl-C ends")
    server.start()  # at once, on the same port
    code, _, err = server.stop(signal.SIGTERM)
    assert (code, err) == (-signal.SIGTERM, "")
