import pickle

import pytest
import torch
import yaml
from diffusers import AutoencoderKL, UNet2DConditionModel
from small_models import AUTOENCODER, ROOT, TEXT, UNET

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io import checkpoint as checkpoints
from idiff.models.text import TextEncoder
from idiff.types import Sampling


@pytest.fixture
def hub_folder(tmp_path):
    """A text-to-image model in the layout of the hub: unet, vae, text_encoder, tokenizer."""
    torch.manual_seed(0)
    AutoencoderKL(**{**AUTOENCODER, "scaling_factor": 0.18215}).save_pretrained(tmp_path / "vae")
    UNet2DConditionModel(**{**UNET, "cross_attention_dim": 16}).save_pretrained(tmp_path / "unet")
    encoder = TextEncoder(config=TEXT)
    encoder.net.save_pretrained(tmp_path / "text_encoder")
    encoder.tokenizer.save_pretrained(tmp_path / "tokenizer")
    return str(tmp_path)


def save(backbone, path, **extra):
    state = {f"backbone.{k}": v for k, v in backbone.state_dict().items() if not k.startswith("autoencoder.")}
    torch.save({"state_dict": state, "backbone": backbone.describe(), "global_step": 7, "config": {}} | extra, path)


def test_a_hub_folder_loads_as_the_sd15_configuration_names_it(hub_folder, batch):
    settings = yaml.safe_load((ROOT / "configs/model/sd15.yaml").read_text())
    arguments = settings["model"]["backbone"]
    assert arguments["pretrained"] == "weights/stable-diffusion-v1-5"
    model = LatentDiffusion(pretrained=hub_folder, objective=Objective(**arguments["objective"]))
    assert model.autoencoder.scale == 0.18215
    assert model.unet.config.in_channels == 8
    assert model.objective.prediction == "epsilon"
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"unet"}  # a text encoder with weights is frozen
    model.loss(batch, seed=0).backward()
    picture = model.edit(batch.source[:1], ["x"], sampling=Sampling(steps=2), seeds=[0])
    assert picture.isfinite().all()


def test_a_checkpoint_brings_the_model_back(backbone, batch, tmp_path):
    with torch.no_grad():
        for p in backbone.unet.parameters():
            p.add_(0.02)
    save(backbone, tmp_path / "a.ckpt")
    loaded = checkpoints.load(tmp_path / "a.ckpt")
    assert (loaded.name, loaded.step) == ("a.ckpt", 7)
    assert len(loaded.sha256) == 64
    assert not loaded.backbone.training
    assert torch.equal(loaded.backbone.loss(batch, seed=0), backbone.loss(batch, seed=0))


def test_frozen_text_is_named_not_stored(hub_folder, batch, tmp_path):
    parts = {"autoencoder": Autoencoder(weights=hub_folder), "text": TextEncoder(weights=hub_folder)}
    model = LatentDiffusion(**parts, unet_weights=hub_folder)
    state = {f"backbone.{k}": v for k, v in model.state_dict().items() if k.startswith("unet.")}
    torch.save({"state_dict": state, "backbone": model.describe()}, tmp_path / "a.ckpt")
    again = checkpoints.load(tmp_path / "a.ckpt").backbone
    assert torch.equal(again.loss(batch, seed=0), model.loss(batch, seed=0))


def test_another_autoencoder_is_refused(backbone, tmp_path, autoencoder_folder):
    description = backbone.describe()
    torch.manual_seed(5)
    AutoencoderKL(**AUTOENCODER).save_pretrained(tmp_path / "other")
    description["autoencoder"] = {**description["autoencoder"], "path": str(tmp_path / "other")}
    with pytest.raises(CheckpointError, match=r"autoencoder at .* is another one"):
        checkpoints.build(description)
    description["autoencoder"]["path"] = str(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="gone does not exist"):
        checkpoints.build(description)


@pytest.mark.parametrize("change", ["missing", "left over", "shape"])
def test_weights_that_do_not_fit_are_refused(backbone, tmp_path, change):
    save(backbone, tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    key = "backbone.unet.conv_in.weight"
    if change == "left over":
        content["state_dict"]["backbone.unet.more"] = torch.zeros(1)
    elif change == "missing":
        del content["state_dict"][key]
    else:
        content["state_dict"][key] = torch.zeros(2, 2)
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match="1 weights are missing, left over or of another shape"):
        checkpoints.load(tmp_path / "a.ckpt")


class Evil:
    def __reduce__(self):
        import pathlib

        return (pathlib.Path.touch, (pathlib.Path("ran"),))


@pytest.mark.parametrize("kind", ["cut", "pickle", "not a checkpoint", "missing"])
def test_damaged_or_evil_files_run_nothing(backbone, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.ckpt"
    if kind == "cut":
        save(backbone, path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Evil()))
    elif kind == "not a checkpoint":
        torch.save({"x": 1}, path)
    with pytest.raises(CheckpointError):
        checkpoints.load(path)
    assert not (tmp_path / "ran").exists()
