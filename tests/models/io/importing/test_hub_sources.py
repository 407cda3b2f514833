"""Loading from the hub, with folders in its format in the place of the hub: what is asked for, and only when asked."""

import huggingface_hub
import pytest
import torch
from compvis_layouts import Models
from huggingface_hub.errors import LocalEntryNotFoundError

from idiff.cli import main
from idiff.models.io.checkpoint import load
from idiff.models.io.importing.vocabulary import HUB


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What was asked of the hub, which holds a repository with a folder of parts and a single file."""
    models = Models(tmp_path)
    folder = models.folder(tmp_path / "repository")
    torch.save({"state_dict": models.compvis()}, folder / "adaption.ckpt")
    asked = []

    def snapshot(name, allow_patterns=None):
        asked.append((name, allow_patterns))
        return str(models.tokenizer if name == HUB else folder)

    def single(name, file):
        asked.append((name, file))
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", single)
    return asked


def test_a_repository_comes_in_without_its_single_files(asked, tmp_path):
    words = ["import", "owner/model", "--hub", "--family", "instructdiffusion", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    [(name, patterns)] = asked
    assert name == "owner/model"
    assert not any("ckpt" in pattern for pattern in patterns)
    assert load(tmp_path / "out").config["family"] == "instructdiffusion"


def test_a_single_file_brings_clips_tokenizer(asked, tmp_path):
    assert main(["import", "owner/model/adaption.ckpt", "--hub", "--out", str(tmp_path / "out")]) == 0
    assert [name for name, _ in asked] == ["owner/model", HUB]


def test_a_file_that_is_here_asks_for_the_tokenizer_alone(asked, tmp_path):
    file = tmp_path / "repository" / "adaption.ckpt"
    assert main(["import", str(file), "--hub", "--out", str(tmp_path / "out")]) == 0
    assert [name for name, _ in asked] == [HUB]


def test_nothing_is_asked_without_the_option(asked, tmp_path, capsys):
    assert main(["import", "owner/model", "--out", str(tmp_path / "out")]) == 2
    assert "--hub" in capsys.readouterr().err
    assert not asked


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch, tmp_path, capsys):
    def fail(*_, **__):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    assert main(["import", "owner/model", "--hub", "--out", str(tmp_path / "out")]) == 2
    assert "owner/model cannot be loaded from the hub: no network" in capsys.readouterr().err
    assert main(["import", "model", "--hub", "--out", str(tmp_path / "out")]) == 2
    assert "expected OWNER/NAME" in capsys.readouterr().err
