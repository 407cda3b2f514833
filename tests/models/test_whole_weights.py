"""Folders whose weights do not fit their config are refused by the names of the weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_clip import write_clip
from small_models import TEXT, UNET

from idiff.cli import main
from idiff.curation.quality.features import ClipFeatures
from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.io import checkpoint as checkpoints
from idiff.models.io.export import write_folder
from idiff.models.text import TextEncoder
from idiff.models.unet import build_unet


def change(folder, how):
    file = next(folder.glob("*.safetensors"))
    save_file(how(load_file(file)), file, metadata={"format": "pt"})


def cut(state):
    return dict(list(state.items())[:-1])


def prefixed(state):
    return {f"module.{key}": value for key, value in state.items()}


def resized(state):
    first = next(iter(state))
    return state | {first: torch.cat([state[first], state[first]])}


WRONG = pytest.mark.parametrize(
    ("how", "said"),
    [(cut, "missing"), (prefixed, "missing|left over"), (resized, "shape|size mismatch|cannot be read")],
)


@WRONG
def test_autoencoder(autoencoder_folder, tmp_path, how, said):
    Autoencoder(weights=autoencoder_folder).net.save_pretrained(tmp_path)
    Autoencoder(weights=str(tmp_path))
    change(tmp_path, how)
    with pytest.raises(CheckpointError, match=f"autoencoder in .*({said})"):
        Autoencoder(weights=str(tmp_path))


@WRONG
def test_text_encoder(tmp_path, how, said):
    TextEncoder(config=TEXT).save(tmp_path)
    TextEncoder(weights=str(tmp_path))
    change(tmp_path / "text_encoder" if (tmp_path / "text_encoder").is_dir() else tmp_path, how)
    with pytest.raises(CheckpointError, match=f"text encoder in .*({said})"):
        TextEncoder(weights=str(tmp_path))


@WRONG
def test_unet(tmp_path, how, said):
    sizes = {"latent_channels": 4, "context": 16, "with_source": True}
    net, _ = build_unet(UNET, weights=None, **sizes)
    net.save_pretrained(tmp_path)
    build_unet(None, weights=str(tmp_path), **sizes)
    change(tmp_path, how)
    with pytest.raises(CheckpointError, match=f"U-Net in .*({said})"):
        build_unet(None, weights=str(tmp_path), **sizes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_in_folders_and_checkpoints(
    autoencoder_folder, backbone, tmp_path, value
):
    Autoencoder(weights=autoencoder_folder).net.save_pretrained(tmp_path / "vae")
    change(tmp_path / "vae", lambda state: state | {"decoder.conv_in.bias": state["decoder.conv_in.bias"] * 0 + value})
    with pytest.raises(CheckpointError, match=r"NaN or infinity in 1 weights \(decoder.conv_in.bias\)"):
        Autoencoder(weights=tmp_path / "vae")
    write_folder(backbone, tmp_path / "whole", config={}, step=1, half=False)
    assert checkpoints.load(tmp_path / "whole").step == 1
    backbone.unet.conv_in.bias.data[0] = value
    state = {f"backbone.{k}": v for k, v in backbone.state_dict().items() if not k.startswith("autoencoder.")}
    torch.save({"state_dict": state, "backbone": backbone.describe(), "global_step": 7}, tmp_path / "last.ckpt")
    write_folder(backbone, tmp_path / "model", config={}, step=1, half=False)
    for name, key in (("last.ckpt", "unet.conv_in.bias"), ("model/unet", "conv_in.bias")):
        with pytest.raises(CheckpointError, match=rf"{name} holds NaN or infinity in 1 weights \({key}\)"):
            checkpoints.load(tmp_path / name.partition("/")[0])


def test_evaluate_ends_with_exit_2_where_weights_are_nan(backbone, tmp_path, capsys):
    backbone.unet.conv_in.bias.data[0] = float("nan")
    write_folder(backbone, tmp_path / "model", config={}, step=1, half=False)
    words = [
        "--checkpoint",
        str(tmp_path / "model"),
        "--data",
        str(tmp_path),
        "--task",
        "x",
        "--out",
        str(tmp_path / "card.json"),
    ]
    assert main(["evaluate", *words]) == 2
    assert "holds NaN or infinity" in capsys.readouterr().err


def test_a_clip_model_without_all_of_its_weights_is_refused(tmp_path):
    folder = write_clip(tmp_path / "clip")
    ClipFeatures(str(folder))
    change(folder, lambda state: {key: value for key, value in state.items() if key != "visual_projection.weight"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights of a CLIP model \(visual_projection.weight\)"):
        ClipFeatures(str(folder))
