"""A checkpoint that describes a network far larger than its weights is refused before the network is made."""

import time

import pytest
import torch

from idiff.errors import CheckpointError
from idiff.models.io.checkpoint import load


@pytest.fixture
def saved(backbone, tmp_path):
    state = {
        f"backbone.{key}": value for key, value in backbone.state_dict().items() if not key.startswith("autoencoder.")
    }
    content = {"state_dict": state, "backbone": backbone.describe(), "global_step": 7, "config": {}}

    def write(**changes):
        for place, change in changes.items():
            part = content["backbone"][place]
            (part["config"] if place == "text" else part).update(change)
        torch.save(content, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return write


def test_one_as_large_as_its_weights_is_read(saved):
    assert load(saved()).step == 7


@pytest.mark.parametrize(
    ("place", "change", "what"),
    [
        ("unet", {"block_out_channels": [8192, 8192]}, "a U-Net of [\\d,]{11,} parameters"),
        ("unet", {"layers_per_block": 10**9}, "a U-Net of 2,000,000,000 layers"),
        ("unet", {"transformer_layers_per_block": 10**6}, "a U-Net of [\\d,]+ layers"),
        ("text", {"hidden_size": 65536, "intermediate_size": 65536}, "a text encoder of [\\d,]{11,} parameters"),
        ("text", {"num_hidden_layers": 10**7}, "a text encoder of 10,000,000 layers"),
    ],
)
def test_a_larger_one_is_never_made(saved, place, change, what):
    file, began = saved(**{place: change}), time.process_time()
    with pytest.raises(CheckpointError, match=f"a.ckpt describes {what}, and holds .* Use another checkpoint"):
        load(file)
    assert time.process_time() - began < 5
