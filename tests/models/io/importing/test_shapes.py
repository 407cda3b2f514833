"""The architecture is read off the shapes, whatever the widths, depths and levels of attention."""

import pytest
import torch
from compvis_layouts import Models
from diffusers import UNet2DConditionModel

from idiff.errors import CheckpointError
from idiff.models.io.compvis_keys import unet_keys
from idiff.models.io.importing.importer import import_model
from idiff.models.io.importing.shapes import Shapes, groups, unet_config

ATTENDS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP = {ATTENDS: "CrossAttnUpBlock2D", PLAIN: "UpBlock2D"}
NETWORKS = [
    ((32, 64), (ATTENDS, ATTENDS), 1),
    ((32, 64, 128, 128), (ATTENDS, ATTENDS, ATTENDS, PLAIN), 2),
    ((32, 32, 64), (PLAIN, PLAIN, ATTENDS), 1),
    ((32, 64), (PLAIN, PLAIN), 3),
    ((64,), (ATTENDS,), 2),
    ((32, 64, 64), (ATTENDS, ATTENDS, PLAIN), 1, 2),
]


def network(widths, down, layers, depth=1):
    torch.manual_seed(2)
    return UNet2DConditionModel(
        in_channels=8, block_out_channels=widths, down_block_types=down, up_block_types=tuple(UP[kind] for kind in down[::-1]),
        layers_per_block=layers, cross_attention_dim=64, attention_head_dim=8, sample_size=8,
        transformer_layers_per_block=depth,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("built", NETWORKS, ids=str)
def test_any_u_net_comes_back(tmp_path, built):
    models, net = Models(tmp_path), network(*built)
    weights = {key: value for key, value in models.compvis().items() if not key.startswith("model.diffusion_model.")}
    torch.save({"state_dict": weights | unet_keys(net.state_dict(), net.config)}, tmp_path / "adaption.ckpt")
    import_model(tmp_path / "adaption.ckpt", tmp_path / "out", tokenizer=str(models.tokenizer))
    ours = UNet2DConditionModel.from_pretrained(tmp_path / "out" / "unet")
    noisy, words = torch.randn(1, 8, 16, 8), torch.randn(1, 77, 64)
    with torch.no_grad():
        one, other = (each(noisy, torch.tensor([7]), encoder_hidden_states=words).sample for each in (ours, net))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_linear_projections_have_heads_of_64_channels(tmp_path):
    net = UNet2DConditionModel(
        in_channels=4, block_out_channels=(64, 128), down_block_types=(ATTENDS, ATTENDS), up_block_types=(UP[ATTENDS],) * 2,
        layers_per_block=1, cross_attention_dim=64, attention_head_dim=[1, 2], use_linear_projection=True,
    )  # fmt: skip
    plain = network((64, 128), (ATTENDS, ATTENDS), 1)
    names = [name.removeprefix("model.diffusion_model.") for name in unet_keys(plain.state_dict(), plain.config)]
    linear = dict(zip(names, net.state_dict().values(), strict=True))
    read = unet_config(Shapes(linear, prefix="", origin="x"), latent=4)
    assert read["attention_head_dim"] == [1, 2]
    assert read["use_linear_projection"]


def test_groups_divide_every_width():
    assert groups([320, 640, 1280]) == 32
    assert groups([16, 24]) == 8


def test_a_gap_in_the_blocks_is_named():
    tensors = {f"input_blocks.{number}.0.op.weight": torch.zeros(1) for number in (0, 1, 3)}
    with pytest.raises(CheckpointError, match=r"input_blocks\.3\.0\.op\.weight, and nothing of the block before"):
        unet_config(Shapes(tensors, prefix="", origin="x.ckpt"), latent=4)
