"""Import, export, import: the same weights, rule and presets, by way of a CompVis file and of a folder of diffusers."""

from pathlib import Path

import pytest
import torch
from compvis_layouts import Models, ordered

from idiff.cli import main
from idiff.models.io.checkpoint import load

FAMILIES = {
    "instructdiffusion": "v1-5-pruned-emaonly-adaption-task.ckpt",
    "instructpix2pix": "instruct-pix2pix-00-22000.ckpt",
}


def run(*words):
    assert main([str(word) for word in words]) == 0


@pytest.fixture(params=FAMILIES)
def imported(request, tmp_path, monkeypatch):
    """An imported model and its family."""
    monkeypatch.chdir(tmp_path)
    models = Models(tmp_path)
    models.tokenizer.rename("clip")
    models.tokenizer = Path("clip")
    torch.save({"state_dict": ordered(models.compvis())}, FAMILIES[request.param])
    run("import", FAMILIES[request.param], "--tokenizer", "clip", "--family", request.param, "--out", "first")
    return "first", request.param


def same(one, other):
    """Whether two models are the same: weights, objective with its rule, presets, tasks."""
    state = other.backbone.state_dict()
    assert state.keys() == one.backbone.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in one.backbone.state_dict().items())
    assert one.backbone.objective == other.backbone.objective
    assert one.presets == other.presets
    assert one.config.get("tasks") == other.config.get("tasks")
    assert (
        one.backbone.text.tokenizer("a red star")["input_ids"]
        == other.backbone.text.tokenizer("a red star")["input_ids"]
    )


def test_by_way_of_a_compvis_file(imported):
    folder, family = imported
    run("export", "--checkpoint", folder, "--format", "compvis", "--out", "file")
    run(
        "import", "file/model.ckpt", "--family", family, "--out", "second"
    )  # its tokenizer and config.yaml lie beside it
    same(load(folder), load("second"))


@pytest.mark.parametrize("kind", ["diffusers", "safetensors"])
def test_by_way_of_a_folder(imported, kind):
    folder, family = imported
    run("export", "--checkpoint", folder, "--format", kind, "--dtype", "float32", "--out", "folder")
    same(load(folder), load("folder"))
    run("import", "folder", "--family", family, "--out", "second")
    same(load(folder), load("second"))
