"""Every setting that takes weights takes every kind of them."""

import shutil

import pytest
import torch
from compvis_layouts import Models
from safetensors.torch import save_file

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import base_weights, load
from idiff.models.io.export import write_folder
from idiff.models.io.importing.importer import import_model
from idiff.models.io.resolve import model_folder
from idiff.models.io.transfer import transfer_weights
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder

KINDS = ["imported", "diffusers", "fp16", "bin", "shards", "ckpt", "safetensors", "beside"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IDIFF_CACHE", str(tmp_path / "cache"))


def made(models, kind, place):
    """A model of a kind, with its tokenizer beside it where it is a single file."""
    place.mkdir()
    if kind in {"ckpt", "safetensors", "beside"}:
        weights = {key: value.contiguous() for key, value in models.compvis().items()}
        shutil.copytree(models.tokenizer, place / "tokenizer")
        file = place / f"adaption.{'safetensors' if kind == 'safetensors' else 'ckpt'}"
        if kind == "safetensors":
            save_file(weights, file)
        else:
            torch.save({"state_dict": weights}, file)
        return place if kind == "beside" else file
    options = {"fp16": {"variant": "fp16"}, "bin": {"safe_serialization": False}, "shards": {"max_shard_size": "1MB"}}
    folder = models.folder(place / "instructdiffusion", **options.get(kind, {}))
    if kind == "imported":
        return import_model(folder, place / "out").folder
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_fits_every_setting(models, tmp_path, kind):
    path = str(made(models, kind, tmp_path / "model"))
    loaded = load(path)
    assert loaded.backbone.objective.rule == "instructdiffusion"
    assert loaded.presets["editing"].steps == 100
    assert len(loaded.sha256) == 64
    unet = models.unet.state_dict()
    for key, value in loaded.backbone.unet.state_dict().items():
        torch.testing.assert_close(value, unet[key], rtol=0, atol=0)
    backbone = LatentDiffusion(pretrained=path, objective=Objective())
    apart = LatentDiffusion(autoencoder=Autoencoder(weights=path), text=TextEncoder(weights=path), unet_weights=path)
    record = transfer_weights(apart, load(path).backbone.state_dict(), origin=path)
    assert not record.new
    for one, other in zip(backbone.state_dict().values(), apart.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    reference = {"path": path, "kind": "model", "sha256": load(path).sha256}
    assert base_weights(reference, origin="x").keys() == apart.state_dict().keys()


def test_a_checkpoint_of_ours_serves_as_weights(models, tmp_path):
    backbone = LatentDiffusion(pretrained=str(models.folder(tmp_path / "model")))
    content = {
        "backbone": backbone.describe(), "state_dict": {f"backbone.{key}": value for key, value in backbone.state_dict().items()},
        "global_step": 5,
    }  # fmt: skip
    torch.save(content, tmp_path / "last.ckpt")
    again = LatentDiffusion(pretrained=str(tmp_path / "last.ckpt"))
    for one, other in zip(again.state_dict().values(), backbone.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_single_file_is_converted_once_and_again_when_it_changes(models, tmp_path):
    file = made(models, "ckpt", tmp_path / "model")
    first = model_folder(file)
    assert model_folder(file) == first
    weights = models.compvis()
    torch.save({"state_dict": weights, "more": 1}, file)
    assert model_folder(file) != first


def test_a_file_of_no_known_family_gives_its_parts_and_no_answers(models, tmp_path):
    file = made(models, "ckpt", tmp_path / "model").rename(tmp_path / "model" / "nameless.ckpt")
    assert Autoencoder(weights=str(file)).factor == 8
    with pytest.raises(Exception, match="give --family"):
        load(file)


def test_a_widened_base_is_narrowed_where_there_is_no_source(models, tmp_path):
    base = Models(tmp_path, channels=4)
    folder = import_model(base.folder(tmp_path / "sd"), tmp_path / "out").folder
    assert load(folder).backbone.unet.config.in_channels == 8
    plain = LatentDiffusion(pretrained=str(folder), with_source=False)
    torch.testing.assert_close(plain.unet.conv_in.weight, base.unet.conv_in.weight, rtol=0, atol=0)
    other = LatentDiffusion(pretrained=str(tmp_path / "sd"), with_source=False)
    record = transfer_weights(other, load(folder).backbone.state_dict(), origin="sd")
    assert "left out" in record.changed["unet.conv_in.weight"]
    edits = import_model(models.folder(tmp_path / "instructpix2pix"), tmp_path / "edits").folder
    with pytest.raises(CheckpointError, match="takes 8 channels: expected 4"):
        LatentDiffusion(pretrained=str(edits), with_source=False)


def test_import_export_import_gives_the_same(models, tmp_path):
    folder = import_model(models.folder(tmp_path / "instructpix2pix"), tmp_path / "first").folder
    loaded = load(folder)
    write_folder(
        loaded.backbone,
        tmp_path / "exported",
        config=loaded.config,
        step=loaded.step,
        half=False,
        presets=loaded.presets,
    )
    again = load(import_model(tmp_path / "exported", tmp_path / "second").folder)
    assert again.presets == loaded.presets
    assert again.backbone.objective == loaded.backbone.objective
    assert again.config == loaded.config
    for one, other in zip(again.backbone.state_dict().values(), loaded.backbone.state_dict().values(), strict=True):
        assert torch.equal(one, other)
