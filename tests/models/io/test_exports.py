import json
from pathlib import Path

import pytest
import torch
from small_models import TEXT, UNET

from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io import checkpoint as checkpoints
from idiff.models.io import pretrained
from idiff.models.io.export import read_description, read_folder, write_folder
from idiff.models.io.folders import DESCRIPTION, PARTS, subfolder
from idiff.models.io.pipeline_export import write_pipeline
from idiff.models.text import TextEncoder
from idiff.types import Sampling
from idiff.utils.files import sha256_file

CONFIG = {"data": {"init_args": {"tasks": {}}}}


def randomise(model, seed=0):
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in [*model.unet.parameters(), *model.text.parameters()]:
            p.add_(0.05 * torch.randn(p.shape, generator=rng))
    return model


def edit(model, batch):
    return model.edit(batch.source, batch.instruction, sampling=Sampling(steps=2, guidance_text=3.0), seeds=range(4))


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def exported(backbone, tmp_path):
    return write_folder(randomise(backbone), tmp_path / "model", config=CONFIG, step=7, half=False)


def test_a_folder_brings_the_same_model_back(backbone, exported, batch):
    loaded = checkpoints.load(exported)
    assert torch.equal(edit(loaded.backbone, batch), edit(backbone, batch))
    assert loaded.backbone.objective == backbone.objective
    assert (loaded.name, loaded.step, loaded.config, loaded.ood_score) == ("model", 7, CONFIG, None)
    assert len(loaded.sha256) == 64
    assert not loaded.backbone.training
    assert not any(p.requires_grad for p in loaded.backbone.text.parameters())
    assert {path.name for path in exported.iterdir()} == {*PARTS, DESCRIPTION}
    assert [path.name for path in exported.parent.iterdir()] == ["model"]


def test_half_a_folder_is_half_as_large_and_paints_nearly_the_same(backbone, exported, batch, tmp_path):
    state = {name: value.clone() for name, value in backbone.state_dict().items()}
    half = write_folder(backbone, tmp_path / "half", config={}, step=0, ood_score={"mean": []})
    assert all(torch.equal(value, backbone.state_dict()[name]) for name, value in state.items())
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (half / weights).stat().st_size < 0.7 * (exported / weights).stat().st_size
    loaded = checkpoints.load(half)
    assert loaded.ood_score == {"mean": []}
    assert {value.dtype for value in loaded.backbone.state_dict().values() if value.is_floating_point()} == {
        torch.float32
    }
    expected, found = edit(backbone, batch), edit(loaded.backbone, batch)
    assert not torch.equal(found, expected)
    assert torch.allclose(found, expected, atol=0.02)


def test_an_exported_folder_is_exported_again_unchanged(exported, tmp_path):
    loaded = checkpoints.load(exported)
    again = write_folder(loaded.backbone, tmp_path / "again", config=loaded.config, step=loaded.step, half=False)
    assert checkpoints.load(again).sha256 == loaded.sha256


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_changed_byte_is_noticed_and_named(exported, part):
    (file,) = (exported / part).glob("*.safetensors")
    wanted = read_description(exported)["sha256"][f"{part}/{file.name}"]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError) as refused:
        checkpoints.load(exported)
    message = str(refused.value)
    assert str(file) in message and wanted[:12] in message and sha256_file(file)[:12] in message


def test_missing_files_are_named(exported):
    (file,) = (exported / "unet").glob("*.safetensors")
    file.rename(exported / "away")
    with pytest.raises(CheckpointError, match=rf"{file.name} is missing: the model in .* is not whole"):
        checkpoints.load(exported)
    (exported / "away").rename(file)
    (exported / "vae" / "config.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"holds none: expected a folder with config\.json, or one with vae/ inside"
    ):
        checkpoints.load(exported)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"format": 2}', '{"format": 1, "config": {}}'])
def test_a_folder_without_a_good_description_is_no_model(exported, text):
    (exported / DESCRIPTION).unlink()
    if text is not None:
        (exported / DESCRIPTION).write_text(text)
    with pytest.raises(
        CheckpointError, match=r"is not an exported model: expected a folder with a readable idiff\.json"
    ):
        read_folder(exported)


@pytest.mark.parametrize("write", ["folder", "pipeline"])
def test_what_is_there_already_is_left_alone(backbone, tmp_path, write):
    def run(target):
        if write == "folder":
            return write_folder(backbone, target, config={}, step=0)
        return write_pipeline(backbone, target)

    if write == "pipeline":
        backbone.objective = Objective()
    full, file, empty = tmp_path / "full", tmp_path / "file", tmp_path / "empty"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    file.write_text("also mine")
    for target in (full, file):
        with pytest.raises(CheckpointError, match="exists already"):
            run(target)
    assert (content(full), file.read_text()) == ({"mine.txt": b"mine"}, "also mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    empty.mkdir()
    assert run(empty) == empty and (empty / "unet").is_dir()
    with pytest.raises(CheckpointError, match="cannot be written"):
        run(file / "below")


def test_parts_can_be_shared_between_models(backbone, exported, batch, tmp_path):
    shared = {part: f"../model/{part}" for part in ("vae", "text_encoder", "tokenizer")}
    second = write_folder(backbone, tmp_path / "second", config={}, step=1, half=False, shared=shared)
    assert {path.name for path in second.iterdir()} == {"unet", DESCRIPTION}
    assert torch.equal(edit(checkpoints.load(second).backbone, batch), edit(backbone, batch))
    assert subfolder(second, "vae") == (exported / "vae").resolve()
    assert subfolder(second, "unet") == second / "unet"
    (weights,) = (exported / "vae").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(CheckpointError, match="damaged or another file"):
        checkpoints.load(second)


def test_names_of_embedded_models_stand_for_their_folders_and_paths_for_themselves(
    backbone, tmp_path, monkeypatch, batch
):
    home = tmp_path / "models"
    write_folder(backbone, home / "t1", config={}, step=3, half=False)
    (home / pretrained.INDEX).write_text(json.dumps({"tiny": "t1"}))
    monkeypatch.setattr(pretrained, "models_folder", lambda: home)
    monkeypatch.chdir(tmp_path)
    pretrained.names.cache_clear()
    try:
        assert pretrained.located("tiny") == home / "t1"
        assert checkpoints.load("tiny").step == 3
        assert pretrained.located("other") == Path("other")
        (tmp_path / "tiny").mkdir()
        assert pretrained.located("tiny") == Path("tiny")
        assert pretrained.located(tmp_path / "tiny") == tmp_path / "tiny"
        with pytest.raises(CheckpointError, match=r"name of a pretrained model \(tiny\)"):
            checkpoints.load("gone.ckpt")
    finally:
        pretrained.names.cache_clear()


# --- a residual model

RESIDUAL = Objective(prediction="sample", zero_terminal_snr=True, spacing="trailing", residual=True)


def residual(autoencoder_folder, **unet):
    torch.manual_seed(2)
    return LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), objective=RESIDUAL, **unet
    ).eval()


@pytest.mark.parametrize("steps", [1, 3])
def test_a_new_residual_model_is_a_copy_of_its_source(autoencoder_folder, batch, steps):
    model = residual(autoencoder_folder, unet=UNET)
    assert any("starts as a copy of its source" in line for line in model.report)
    painted = model.edit(batch.source, batch.instruction, sampling=Sampling(steps=steps), seeds=range(4))
    assert torch.allclose(painted, model.autoencoder.render(batch.source), atol=1e-4)


def test_a_text_to_image_export_becomes_a_copy_of_its_source(autoencoder_folder, batch, tmp_path):
    torch.manual_seed(0)
    plain = LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET, with_source=False
    )
    folder = write_folder(randomise(plain), tmp_path / "plain", config={}, step=0, half=False)
    assert checkpoints.load(folder).backbone.unet.config.in_channels == 4
    model = residual(autoencoder_folder, unet_weights=str(folder))
    assert model.unet.config.in_channels == 8
    assert torch.equal(model.unet.conv_in.weight[:, :4], plain.unet.conv_in.weight)
    assert model.unet.conv_in.weight[:, 4:].abs().max() == 0
    assert model.unet.conv_out.weight.abs().max() == model.unet.conv_out.bias.abs().max() == 0
    assert torch.equal(model.unet.mid_block.resnets[0].conv1.weight, plain.unet.mid_block.resnets[0].conv1.weight)
    painted = model.edit(batch.source, batch.instruction, sampling=Sampling(steps=3), seeds=range(4))
    assert torch.allclose(painted, model.autoencoder.render(batch.source), atol=1e-4)


def test_a_trained_residual_model_keeps_its_last_convolution(autoencoder_folder, batch, tmp_path):
    model = randomise(residual(autoencoder_folder, unet=UNET))
    folder = write_folder(model, tmp_path / "model", config={}, step=0, half=False)
    loaded = checkpoints.load(folder).backbone
    assert loaded.objective.residual
    assert torch.equal(edit(loaded, batch), edit(model, batch))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_only_a_clean_latent_is_added_to(prediction):
    with pytest.raises(ConfigError, match=f"needs the prediction 'sample', got '{prediction}'"):
        Objective(residual=True, prediction=prediction)
