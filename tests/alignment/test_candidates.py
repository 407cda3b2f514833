import json
import subprocess
import sys
from multiprocessing import get_context

import pytest

from idiff.alignment.candidates import CandidateFolder
from idiff.errors import ConfigError, DataError


def test_what_was_written_is_read(folder):
    assert folder.samples() == [f"{number:06d}" for number in range(5)]
    facts = folder.read("000003")
    assert (facts.sample, len(facts.candidates), facts.truth) == ("000003", 4, {"file": "target.png"})
    assert facts.instruction and facts.caption == "a caption"
    first = facts.candidates[0]
    assert folder.picture(facts, first.file, first.sha256).startswith(b"\x89PNG")


def test_the_file_is_as_the_contract_says(folder):
    settings = json.loads((folder.path / "align.json").read_text())
    assert settings["schema"] == 1 and settings["candidates"] == 4 and settings["samples"] == 5
    value = json.loads((folder.path / "samples" / "000000" / "sample.json").read_text())
    assert {"sample", "key", "instruction", "query", "candidates", "truth"} <= set(value)
    assert set(value["candidates"][0]) == {"file", "seed", "sampling", "sha256"}


def test_a_sample_without_its_last_file_is_not_there(folder):
    (folder.path / "samples" / "000001" / "sample.json").unlink()
    (folder.path / "samples" / "notes").mkdir()
    assert folder.samples() == ["000000", "000002", "000003", "000004"]
    assert not folder.has("000001")
    with pytest.raises(DataError, match="has no sample '000001'"):
        folder.read("000001")


@pytest.mark.parametrize("name", ["../000000", "000000/../000001", "", "/etc", "000000\x00"])
def test_names_lead_nowhere_else(folder, name):
    with pytest.raises(DataError, match="has no sample"):
        folder.read(name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidates": [{"file": "../../x.png", "seed": 1, "sampling": {}, "sha256": ""}]}, "not a plain name"),
        ({"truth": {"file": "/etc/passwd"}}, "not a plain name"),
        ({"candidates": []}, "0 candidates"),
        ({"instruction": 3}, "instruction 3"),
        ({"sample": "000001"}, "it says it is sample '000001'"),
        ({"candidates": [{"seed": 1}]}, "no 'file'"),
        ({"query": 5}, "int"),
    ],
)
def test_a_damaged_sample_is_named(folder, change, reason):
    file = folder.path / "samples" / "000000" / "sample.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=rf"sample\.json is damaged: .*{reason}"):
        folder.read("000000")


def test_a_changed_or_missing_picture_is_named(folder):
    facts = folder.read("000000")
    one, other = facts.candidates[:2]
    (folder.path / "samples" / "000000" / one.file).write_bytes(b"else")
    (folder.path / "samples" / "000000" / other.file).unlink()
    with pytest.raises(DataError, match=r"candidate_00\.png is not the image that was written"):
        folder.picture(facts, one.file, one.sha256)
    with pytest.raises(DataError, match=r"candidate_01\.png is missing"):
        folder.picture(facts, other.file, other.sha256)


def test_other_settings_are_refused_with_what_differs(folder):
    settings = dict(folder.settings)
    with CandidateFolder.begin(folder.path, settings):
        pass
    moved = settings | {
        "checkpoint": settings["checkpoint"] | {"name": "moved"},
        "data": settings["data"] | {"path": "b"},
    }
    with CandidateFolder.begin(folder.path, moved):
        pass
    other = settings | {"seed": 7, "checkpoint": {"name": "x", "sha256": "f" * 64}}
    with (
        pytest.raises(
            ConfigError, match=r'holds other candidates: checkpoint was "0+", now "f+"; seed was 0, now 7\. Give'
        ),
        CandidateFolder.begin(folder.path, other),
    ):
        pass


def test_folders_of_something_else_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(ConfigError, match=r"holds other files and no align\.json"),
        CandidateFolder.begin(tmp_path / "full", {}),
    ):
        pass
    with (
        pytest.raises(DataError, match="cannot be written: it is a file"),
        CandidateFolder.begin(tmp_path / "file", {}),
    ):
        pass
    with pytest.raises(DataError, match=r"align\.json is missing: expected a folder of candidates"):
        CandidateFolder.open(tmp_path / "full")
    (tmp_path / "full" / "align.json").write_text("{")
    with pytest.raises(DataError, match=r"align\.json is damaged"):
        CandidateFolder.open(tmp_path / "full")
    (tmp_path / "full" / "align.json").write_text('{"schema": 9}')
    with pytest.raises(DataError, match="has schema 9, this version reads 1"):
        CandidateFolder.open(tmp_path / "full")


def _begin(path, settings, answers):
    try:
        with CandidateFolder.begin(path, settings):
            answers.put("begun")
    except ConfigError as error:
        answers.put(str(error))


def test_two_processes_do_not_write_at_once(folder):
    context = get_context("fork")
    answers = context.Queue()
    with CandidateFolder.begin(folder.path, folder.settings):
        other = context.Process(target=_begin, args=(folder.path, folder.settings, answers))
        other.start()
        assert "another process is writing" in answers.get(timeout=30)
        other.join()


def test_the_folder_is_read_without_torch():
    script = "import sys, idiff.alignment.candidates; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == 0
