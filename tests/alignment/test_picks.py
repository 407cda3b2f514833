"""The journal of picks: what counts, what survives a crash, and that annotators do not disturb each other."""

import fcntl
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import threading

import pytest

from idiff.alignment.picks import Decision, PickJournal, annotators, decisions_by_annotator
from idiff.errors import ConfigError, DataError

TIME = "2026-01-02T03:04:05.678+00:00"


@pytest.fixture
def journal(tmp_path):
    return PickJournal(tmp_path, "anna")


def lines_of(journal):
    return journal.path.read_text(encoding="utf-8").splitlines()


def test_a_line_has_the_fields_of_the_contract(journal):
    assert journal.append("000012", [3, 7], seconds=1.5, time="2026-01-02T05:04:05.678+02:00")
    assert json.loads(lines_of(journal)[0]) == {
        "sample": "000012", "chosen": [3, 7], "annotator": "anna", "time": TIME, "seconds": 1.5, "action": "pick",
    }  # fmt: skip
    assert journal.path.name == "anna.jsonl"
    assert journal.history() == [Decision("000012", (3, 7), "anna", TIME, 1.5, "pick")]


def test_the_last_line_about_a_sample_counts(journal):
    journal.append("a", [1])
    journal.append("b", [])
    journal.append("a", [2, 0])
    journal.append("c", [4])
    journal.append("c", action="undo")
    assert {name: decision.chosen for name, decision in journal.decisions().items()} == {"b": (), "a": (2, 0)}
    assert list(journal.decisions()) == ["b", "a"]  # in the order in which they were decided
    assert len(journal.history()) == 5


def test_an_undone_sample_can_be_decided_again(journal):
    journal.append("a", [1])
    journal.append("a", action="undo")
    assert journal.decisions() == {}
    journal.append("a", [2])
    assert journal.decisions()["a"].chosen == (2,)


def test_sending_again_changes_nothing(journal):
    assert journal.append("a", [1], time=TIME)
    assert journal.append("a", [2], time="2026-01-02T03:04:06.000Z")
    assert not journal.append("a", [1], time="2026-01-02T03:04:05.678Z")
    assert journal.decisions()["a"].chosen == (2,)
    assert len(lines_of(journal)) == 2


@pytest.mark.parametrize("cut", [1, 20, 60, -1])
def test_a_torn_last_line_costs_nothing_else(journal, caplog, cut):
    journal.append("a", [1], time=TIME)
    journal.append("b", [2], time=TIME)
    whole = journal.path.read_bytes()
    first = whole.index(b"\n") + 1
    line = whole[first:].rstrip(b"\n")
    journal.path.write_bytes(whole[:first] + line[:cut])
    with caplog.at_level(logging.WARNING):
        assert list(journal.decisions()) == ["a"]
    assert f"{journal.path}:2: a line that was torn" in caplog.text
    assert journal.append("b", [0])
    assert {name: decision.chosen for name, decision in journal.decisions().items()} == {"a": (1,), "b": (0,)}
    assert len(lines_of(journal)) == 3
    assert journal.path.read_bytes().startswith(whole[:first])


def test_a_line_that_lacks_only_its_end_counts(journal):
    journal.append("a", [1])
    journal.path.write_bytes(journal.path.read_bytes().rstrip(b"\n"))
    journal.append("b", [2])
    assert list(journal.decisions()) == ["a", "b"]


def test_bytes_that_are_no_text_are_left_out(journal, caplog):
    journal.append("a", [1])
    with journal.path.open("ab") as stream:
        stream.write(b"\x00\x00\xff\xfe" + b"[" * 100_000)
    journal.append("b", [2])
    assert list(journal.decisions()) == ["a", "b"]
    assert "torn" in caplog.text


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"chosen": [1, 2, 3]}, "chosen is"),
        ({"annotator": "ben"}, "annotator is 'ben'"),
        ({"action": "drop"}, "action is 'drop'"),
        ({"time": "yesterday"}, "time is 'yesterday'"),
        ({"seconds": "long"}, "seconds is 'long'"),
    ],
)
def test_a_line_of_another_meaning_is_named(journal, changed, reason):
    journal.append("a", [1])
    value = json.loads(lines_of(journal)[0]) | changed
    with journal.path.open("a") as stream:
        stream.write(json.dumps(value) + "\n")
    with pytest.raises(DataError, match=rf"anna.jsonl:2 is not a decision of anna: {reason}"):
        journal.decisions()


@pytest.mark.parametrize("name", ["", "../anna", "a b", "a/b", "zoë", ".", "a" * 65, "a\n"])
def test_bad_names_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="expected 1 to 64 letters"):
        PickJournal(tmp_path, name)


@pytest.mark.parametrize(
    ("chosen", "more", "reason"),
    [
        ([0, 1, 2], {}, "at most 2"),
        ([1, 1], {}, "different"),
        ([-1], {}, "from 0"),
        ([True], {}, "from 0"),
        ([1], {"action": "undo"}, "at most 0"),
        ([1], {"action": "drop"}, "expected pick or undo"),
        ([1], {"seconds": float("nan")}, "seconds is nan"),
        ([1], {"seconds": -1.0}, "seconds is -1.0"),
        ([1], {"time": "2026-01-02T03:04:05"}, "time zone"),
        ([1], {"time": "0001-01-01T00:00:00+14:00"}, "time zone"),
    ],
)
def test_decisions_that_mean_nothing_are_refused(journal, chosen, more, reason):
    with pytest.raises(ConfigError, match=reason):
        journal.append("a", chosen, **more)
    assert not journal.path.exists()


def test_everyone_has_a_journal(tmp_path):
    assert annotators(tmp_path) == []
    PickJournal(tmp_path, "ben").append("a", [1])
    PickJournal(tmp_path, "anna").append("a", [])
    (tmp_path / "picks" / "notes of ben.jsonl").write_text("no journal")
    assert annotators(tmp_path) == ["anna", "ben"]
    found = decisions_by_annotator(tmp_path)
    assert {name: decisions["a"].chosen for name, decisions in found.items()} == {"anna": (), "ben": (1,)}


def _append_many(folder, worker, time, barrier):
    journal = PickJournal(folder, "anna")
    for number in range(25):
        barrier.wait(timeout=60)
        journal.append(f"{worker}-{number}", [number % 5], time=time and f"2026-01-02T03:04:{number:02d}Z")


def _run_workers(folder, names, *, time=""):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(len(names))
    workers = [context.Process(target=_append_many, args=(folder, name, time, barrier)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * 4


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    _run_workers(tmp_path, range(4))
    decisions = PickJournal(tmp_path, "anna").decisions()
    assert set(decisions) == {f"{worker}-{number}" for worker in range(4) for number in range(25)}


def test_processes_that_send_the_same_write_it_once(tmp_path):
    _run_workers(tmp_path, [0] * 4, time="the same in all")
    assert len(PickJournal(tmp_path, "anna").history()) == 25


def test_an_append_waits_for_another_to_end(journal):
    journal.append("a", [1])
    waiting = threading.Thread(target=journal.append, args=("b", [2]))
    with journal.path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(timeout=0.3)
        assert waiting.is_alive()
        assert list(journal.decisions()) == ["a"]
    waiting.join(timeout=20)
    assert list(journal.decisions()) == ["a", "b"]


def test_a_full_disk_leaves_the_journal_as_it_was(journal, monkeypatch):
    journal.append("a", [1])
    before, write, written = journal.path.read_bytes(), os.write, []

    def ten_bytes_then_full(handle, data):
        if written:
            raise OSError(28, "No space left on device")
        written.append(write(handle, data[:10]))
        return written[0]

    monkeypatch.setattr(os, "write", ten_bytes_then_full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        journal.append("b", [2])
    monkeypatch.undo()
    assert written == [10]
    assert journal.path.read_bytes() == before


def test_a_folder_in_the_place_of_a_journal_is_one_sentence(journal):
    journal.path.mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be written"):
        journal.append("a", [1])
    with pytest.raises(DataError, match="cannot be read"):
        journal.decisions()


def test_it_loads_neither_numpy_nor_torch():
    script = "import sys, idiff.alignment.picks; sys.exit(','.join({'numpy', 'torch'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
