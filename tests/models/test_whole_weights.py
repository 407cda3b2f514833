"""Folders whose weights do not fit their config are refused by the names of the weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_models import TEXT, UNET

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
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
