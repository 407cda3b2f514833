"""Weights that go over into a model with more attention or residual blocks, or with another training head."""

import pytest
import torch
from small_models import TEXT, UNET

from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io.transfer import transfer_weights
from idiff.models.text import TextEncoder

MORE = {"up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}


def model(folder, **over):
    torch.manual_seed(7)
    return LatentDiffusion(autoencoder=Autoencoder(weights=folder), text=TextEncoder(config=TEXT), **over)


def painted(net):
    rng = torch.Generator().manual_seed(0)
    latent = torch.randn(2, 8, 16, 16, generator=rng)
    states = torch.randn(2, 77, 16, generator=rng)
    with torch.no_grad():
        return net.unet(latent, torch.tensor([3, 900]), encoder_hidden_states=states).sample


@pytest.fixture
def folder(backbone, tmp_path):
    backbone.unet.save_pretrained(tmp_path / "unet")
    return str(tmp_path)


def test_new_attention_blocks_are_silent_at_first_and_learn(backbone, autoencoder_folder, folder, batch):
    grown = model(autoencoder_folder, unet=MORE, unet_weights=folder)
    assert "weights of blocks are new" in " ".join(grown.report)
    assert torch.allclose(painted(grown), painted(backbone), atol=1e-6)
    grown.loss(batch, seed=0).backward()
    last = grown.unet.up_blocks[1].attentions[0].proj_out.weight
    assert float(last.detach().abs().max()) == 0 and float(last.grad.abs().max()) > 0


DEEPER = {"layers_per_block": 3}


def randomised(net):
    """Nothing is zero, so that what a skip connection carries to the wrong place would show."""
    rng = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in net.unet.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return net


@pytest.mark.parametrize("more", [DEEPER, {**DEEPER, **MORE}])
def test_a_deeper_model_paints_the_same_and_its_new_layers_learn(backbone, autoencoder_folder, tmp_path, batch, more):
    randomised(backbone).unet.save_pretrained(tmp_path / "unet")
    grown = model(autoencoder_folder, unet=more, unet_weights=str(tmp_path))
    assert len(grown.unet.down_blocks[0].resnets) == 3 and len(grown.unet.up_blocks[1].resnets) == 4
    assert torch.allclose(painted(grown), painted(backbone), atol=1e-4)
    grown.loss(batch, seed=0).backward()
    for block, number in [(grown.unet.down_blocks[1], 2), (grown.unet.up_blocks[0], 1), (grown.unet.up_blocks[1], 2)]:
        last = block.resnets[number].conv2.weight
        assert float(last.detach().abs().max()) == 0 and float(last.grad.abs().max()) > 0


def test_a_deeper_model_grows_once_more(backbone, autoencoder_folder, tmp_path):
    randomised(backbone).unet.save_pretrained(tmp_path / "unet")
    two = randomised(model(autoencoder_folder, unet={"layers_per_block": 2}, unet_weights=str(tmp_path)))
    three = model(autoencoder_folder, unet={**UNET, **DEEPER})
    record = transfer_weights(three, two.state_dict(), origin="there")
    assert torch.allclose(painted(three), painted(two), atol=1e-4)
    assert {key.split(".")[4] for key in record.new if ".up_blocks.0.resnets." in key} == {"1"}


@pytest.mark.parametrize("change", [{"block_out_channels": [16, 32]}, {"mid_block_type": "UNetMidBlock2D"}])
def test_a_config_that_changes_more_is_refused(autoencoder_folder, folder, change):
    with pytest.raises(ConfigError, match="expected new attention or residual blocks alone"):
        model(autoencoder_folder, unet=change, unet_weights=folder)


def test_neither_config_nor_weights_is_refused(autoencoder_folder):
    with pytest.raises(ConfigError, match="needs a config"):
        model(autoencoder_folder)


def test_a_hand_over_says_what_was_loaded_made_new_and_left_out(backbone, autoencoder_folder, batch):
    taught = model(autoencoder_folder, unet={**UNET, **MORE}, objective=Objective(auxiliary_loss_weight=1.0))
    report = transfer_weights(taught, backbone.state_dict(), origin="there").said
    assert "loaded from there" in report[0] and "are new" in report[1] and len(report) == 2
    assert torch.allclose(painted(taught), painted(backbone), atol=1e-6)
    plain = model(autoencoder_folder, unet={**UNET, **MORE})
    report = transfer_weights(plain, taught.state_dict(), origin="there").said
    assert report[1].startswith("4 weights left out: recognition.")
    assert torch.equal(painted(plain), painted(taught))


def test_what_does_not_fit_is_refused_and_nothing_is_loaded(backbone, autoencoder_folder):
    other = model(autoencoder_folder, unet={**UNET, **MORE})
    before = painted(backbone)
    with pytest.raises(CheckpointError, match="does not fit"):
        transfer_weights(backbone, other.state_dict(), origin="there")
    assert torch.equal(painted(backbone), before)


def test_a_deeper_model_is_not_made_shallower(backbone, autoencoder_folder, tmp_path):
    backbone.unet.save_pretrained(tmp_path / "unet")
    deeper = model(autoencoder_folder, unet=DEEPER, unet_weights=str(tmp_path))
    before = painted(backbone)
    with pytest.raises(
        CheckpointError, match=r"there has 3 layers in unet.down_blocks.0, and this model 1: set .* to 3"
    ):
        transfer_weights(backbone, deeper.state_dict(), origin="there")
    assert torch.equal(painted(backbone), before)
    deeper.unet.save_pretrained(tmp_path / "unet")
    with pytest.raises(ConfigError, match="expected new attention or residual blocks alone"):
        model(autoencoder_folder, unet={"layers_per_block": 1}, unet_weights=str(tmp_path))
    same = model(autoencoder_folder, unet=DEEPER, unet_weights=str(tmp_path))
    assert not [line for line in same.report if "are new" in line]
