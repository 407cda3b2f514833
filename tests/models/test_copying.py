import pytest
import torch
from diffusers import UNet2DConditionModel
from small_models import TEXT, UNET

from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.copying import start_as_copy
from idiff.models.text import TextEncoder
from idiff.types import Sampling


def network(**changes):
    torch.manual_seed(0)
    sizes = {"in_channels": 8, "out_channels": 4, "cross_attention_dim": 16, "norm_num_groups": 4}
    return UNet2DConditionModel(**{**UNET, **sizes, **changes}).eval()


@pytest.mark.parametrize(("prediction", "sign"), [("v_prediction", -1.0), ("sample", 1.0)])
@pytest.mark.parametrize("scale", [0.18, 0.5, 1.3])
def test_the_first_prediction_is_the_scaled_source(prediction, sign, scale):
    net = network()
    assert start_as_copy(net, channels=4, scale=scale, prediction=prediction)
    source = torch.randn(3, 4, 16, 16) / scale + torch.randn(3, 4, 1, 1) / scale * 0.5
    with torch.no_grad():
        states = torch.randn(3, 77, 16)
        out = net(torch.cat([torch.randn(3, 4, 16, 16), source], 1), torch.tensor([5, 600, 999]), states).sample
    error = (out - sign * scale * source).square().mean().sqrt()
    assert error < 0.1 * (scale * source).square().mean().sqrt()


@pytest.mark.parametrize(("prediction", "changes"), [("epsilon", {}), ("sample", {"norm_num_groups": 2})])
def test_nothing_is_touched_where_it_does_not_fit(prediction, changes):
    net, fresh = network(**changes), network(**changes)
    assert not start_as_copy(net, channels=4, scale=0.5, prediction=prediction)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), fresh.parameters(), strict=True))


def test_an_untrained_model_returns_the_source_as_the_autoencoder_renders_it(autoencoder_folder, batch):
    torch.manual_seed(0)
    model = LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET,
        objective=Objective(prediction="v_prediction", zero_terminal_snr=True, spacing="trailing"),
    )  # fmt: skip
    assert "U-Net: starts as a copy of its source" in model.report
    model.autoencoder.net.register_to_config(
        scaling_factor=1 / float(model.autoencoder.encode_source(batch.source).std())
    )
    assert start_as_copy(model.unet, channels=4, scale=model.autoencoder.scale, prediction="v_prediction")
    painted = model.edit(batch.source, batch.instruction, sampling=Sampling(steps=1), seeds=range(4))
    rendered = model.autoencoder.render(batch.source)
    assert (painted - rendered).abs().mean() < 0.1 * (rendered - rendered.mean()).abs().mean()


def test_every_weight_of_the_copy_is_trained(backbone, batch):
    backbone.train().loss(batch, seed=0).backward()
    for module in (backbone.unet.conv_in, backbone.unet.conv_out, backbone.unet.up_blocks[-1].resnets[-1].conv2):
        assert module.weight.grad.abs().flatten(1).sum(1).min() > 0
