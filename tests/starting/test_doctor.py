"""`idiff doctor` tells what a run needs, and what mends it."""

import json
import re
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

import pytest

from idiff.cli import main
from idiff.models.io import pretrained
from idiff.starting import doctor


def lines(text):
    return {
        what: state
        for state, what in re.findall(r"^(OK|FAIL|--) +([^:]+):", text.split("For a report")[0], re.MULTILINE)
    }


@pytest.fixture
def roomy(monkeypatch):
    """A machine with room, whatever the one is that the tests run on."""
    for name in ("LEAST_DISK", "LEAST_MEMORY", "LEAST_SHARED"):
        monkeypatch.setattr(doctor, name, 1)


@pytest.mark.usefixtures("roomy")
def test_a_sound_machine_is_well(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "_graphics", lambda: doctor.Finding("graphics card", "--", "none"))
    code = main(["doctor"])
    printed = capsys.readouterr().out
    found = lines(printed)
    assert code == 0 and "FAIL" not in found.values(), printed
    assert found["weights that ship"] == found["packages"] == found["disk of this folder"] == "OK"
    block = printed.split("```")[1]
    assert f"torch {metadata.version('torch')}" in block and "cores" in block
    assert str(Path.home()) not in block and str(tmp_path) not in block
    assert list(tmp_path.iterdir()) == []


def test_little_room_fails_with_what_mends_it(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "LEAST_DISK", 1 << 60)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert re.search(r"^FAIL disk of this folder: .* GiB free, .* are needed\. Free some space", printed, re.MULTILINE)
    assert "FAIL disk of this folder" in printed.split("```")[1]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (found,) = doctor._disk("temporary folder", tmp_path / "nowhere", "Set TMPDIR.")
    assert (found.state, found.remedy) == ("FAIL", "Set TMPDIR.") and "No such file" in found.said


def test_damaged_weights_are_named(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    shutil.copytree(pretrained.models_folder(), folder)
    monkeypatch.setattr(pretrained, "models_folder", lambda: folder)
    assert doctor._weights().state == "OK"
    variant = json.loads((folder / "index.json").read_text())["tiny"]
    damaged = next((folder / variant / "unet").glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    found = doctor._weights()
    assert found.state == "FAIL" and f"{variant}/unet/{damaged.name}" in found.said
    (folder / variant / "idiff.json").unlink()
    assert f"{variant} (" in doctor._weights().said


def test_a_package_that_is_absent_or_old_is_named(monkeypatch):
    known = [
        "torch>=2",
        "lightning>=99",
        "nowhere-at-all>=1",
        "peft>=0.1; extra == 'lora'",
        "absent-too; extra == 'serve'",
    ]
    monkeypatch.setattr(metadata, "requires", lambda name: known)
    found = {each.what: each for each in doctor._packages()}
    assert found["packages"].state == "FAIL"
    assert "lightning" in found["packages"].said and "(needs >=99)" in found["packages"].said
    assert "nowhere-at-all" in found["packages"].said and "torch" not in found["packages"].said
    assert found["extra lora"].state == "OK"
    assert (found["extra serve"].state, found["extra serve"].said) == ("--", "without absent-too")


def test_idiff_that_is_not_installed_is_said(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    (found,) = doctor._packages()
    assert found.state == "FAIL" and "make setup" in found.remedy


def test_a_library_that_cannot_be_loaded_is_said():
    def broken():
        raise ImportError("libcudart.so.12: cannot open shared object file\nmore")

    found = doctor._tried("graphics card", broken)
    assert found.state == "FAIL" and found.said.endswith("cannot open shared object file")


def test_the_temporary_folder_is_the_one_that_is_used(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    found = {each.what: each.state for each in doctor.examine(tmp_path)}
    assert found["temporary folder"] == "FAIL"
