"""Weights of one model in another: every key is accounted for, and a text-to-image model becomes an edit model."""

import json

import pytest
import torch
from diffusers import AutoencoderKL
from small_models import AUTOENCODER, TEXT, UNET

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io.checkpoint import frozen_folders
from idiff.models.io.transfer import transfer_weights
from idiff.models.text import TextEncoder
from idiff.types import Sampling

RESIDUAL = Objective(prediction="sample", zero_terminal_snr=True, spacing="trailing", residual=True)


def model(folder, *, seed=1, **over):
    torch.manual_seed(seed)
    text = over.pop("text", None) or TextEncoder(config=TEXT)
    return LatentDiffusion(autoencoder=Autoencoder(weights=folder), text=text, **({"unet": UNET} | over)).eval()


def randomised(net, seed=0):
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in [*net.unet.parameters(), *net.text.parameters()]:
            p.add_(0.05 * torch.randn(p.shape, generator=rng))
    return net


def parts(record):
    return [record.loaded, record.changed, record.new, record.kept]


def assert_complete(record, net):
    keys = [key for part in parts(record) for key in part]
    assert sorted(keys) == sorted(net.state_dict())


def predicted(net, *, condition):
    rng = torch.Generator().manual_seed(0)
    noisy, states = torch.randn(2, 4, 16, 16, generator=rng), torch.randn(2, 77, 16, generator=rng)
    with torch.no_grad():
        return net.predict(noisy, torch.tensor([3, 900]), states, condition)


@pytest.fixture
def plain(autoencoder_folder):
    """A text-to-image model that knows something."""
    return randomised(model(autoencoder_folder, with_source=False))


def test_a_text_to_image_model_becomes_an_edit_model_that_paints_the_same(plain, autoencoder_folder):
    edit = model(autoencoder_folder, seed=2)
    record = transfer_weights(edit, plain.state_dict(), origin="stage 1")
    assert_complete(record, edit)
    assert record.changed == {"unet.conv_in.weight": "from stage 1, widened 4 -> 8 channels with zeros for the source"}
    assert not record.new and set(record.loaded.values()) == {"stage 1"}
    assert "U-Net: first convolution widened 4 -> 8 with zeros" in record.said
    assert edit.report is record.said and edit.provenance is record
    assert torch.equal(edit.unet.conv_in.weight[:, :4], plain.unet.conv_in.weight)
    assert float(edit.unet.conv_in.weight[:, 4:].abs().max()) == 0
    expected = predicted(plain, condition=None)
    assert torch.allclose(predicted(edit, condition=torch.ones(2, 4, 16, 16)), expected, atol=1e-5)


def test_a_residual_edit_model_starts_as_a_copy_of_its_source(plain, autoencoder_folder, batch):
    more = {**UNET, "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
    edit = model(autoencoder_folder, seed=2, objective=RESIDUAL, unet=more)
    randomised(edit)
    record = transfer_weights(edit, plain.state_dict(), origin="stage 1")
    assert_complete(record, edit)
    assert set(record.changed) == {"unet.conv_in.weight", "unet.conv_out.weight", "unet.conv_out.bias"}
    assert record.new and all(key.startswith("unet.up_blocks.1.attentions.") for key in record.new)
    assert record.fresh == {*record.changed, *record.new}
    assert record.said[0] == f"U-Net and text encoder: {len(record.loaded)} weights loaded from stage 1"
    assert len(record.loaded) == len(plain.unet.state_dict()) + len(plain.text.state_dict()) - 3
    painted = edit.edit(batch.source, batch.instruction, sampling=Sampling(steps=2), seeds=range(4))
    assert torch.allclose(painted, edit.autoencoder.render(batch.source), atol=1e-4)


def test_an_edit_model_keeps_its_last_convolution(autoencoder_folder):
    first = randomised(model(autoencoder_folder, objective=RESIDUAL))
    second = model(autoencoder_folder, seed=2, objective=RESIDUAL)
    record = transfer_weights(second, first.state_dict(), origin="there")
    assert not record.changed
    assert torch.equal(second.unet.conv_out.weight, first.unet.conv_out.weight)


def test_an_edit_model_is_no_text_to_image_model(plain, autoencoder_folder):
    before = {key: value.clone() for key, value in plain.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"does not fit this model: 1 weights .*unet\.conv_in\.weight"):
        transfer_weights(plain, model(autoencoder_folder).state_dict(), origin="there")
    assert all(torch.equal(value, plain.state_dict()[key]) for key, value in before.items())


def test_another_autoencoder_is_named_and_the_own_one_is_kept(autoencoder_folder, tmp_path):
    torch.manual_seed(5)
    AutoencoderKL(**AUTOENCODER).save_pretrained(tmp_path / "other")
    theirs, own = model(str(tmp_path / "other")), model(autoencoder_folder, seed=2)
    before = {key: value.clone() for key, value in own.autoencoder.state_dict().items()}
    record = transfer_weights(own, theirs.state_dict(), origin="there")
    assert_complete(record, own)
    assert all(torch.equal(value, own.autoencoder.state_dict()[key]) for key, value in before.items())
    assert record.left_out and all(key.startswith("autoencoder.") for key in record.left_out)
    assert any(f"there was trained with another one than {autoencoder_folder}" in line for line in record.said)
    same = transfer_weights(own, model(autoencoder_folder, seed=3).half().float().state_dict(), origin="there")
    assert not same.left_out  # half precision on the way is not an other autoencoder


def test_a_frozen_text_encoder_is_kept_and_a_trained_one_is_named(autoencoder_folder, tmp_path):
    text = TextEncoder(config=TEXT)
    text.save(tmp_path)
    own = model(autoencoder_folder, text=TextEncoder(weights=str(tmp_path)))
    record = transfer_weights(own, randomised(model(autoencoder_folder, seed=4)).state_dict(), origin="there")
    assert_complete(record, own)
    assert {key.split(".")[0] for key in record.kept} == {"autoencoder", "text"}
    assert any("weights of text left out" in line for line in record.said)


def test_weights_that_nothing_was_said_of_are_new(autoencoder_folder, tmp_path):
    randomised(model(autoencoder_folder, with_source=False)).unet.save_pretrained(tmp_path / "unet")
    net = model(autoencoder_folder, unet=None, unet_weights=str(tmp_path), objective=RESIDUAL)
    net.provenance.complete(list(net.state_dict()), frozen=frozen_folders(net))
    assert_complete(net.provenance, net)
    assert {key.split(".")[0] for key in net.provenance.new} == {"text"}
    assert set(net.provenance.changed) == {"unet.conv_in.weight", "unet.conv_out.weight", "unet.conv_out.bias"}
    assert net.provenance.sources[0]["kind"] == "unet"


def test_the_list_is_written_whole(plain, autoencoder_folder, tmp_path):
    edit = model(autoencoder_folder, seed=2)
    record = transfer_weights(edit, plain.state_dict(), origin="stage 1")
    path = record.write(tmp_path / "run")
    content = json.loads(path.read_text())
    listed = [key for part in ("loaded", "changed", "new", "kept") for key in content[part]]
    assert sorted(listed) == sorted(edit.state_dict())
    assert content["summary"] == record.said
    assert [one.name for one in path.parent.iterdir()] == ["handover.json"]
    with pytest.raises(CheckpointError, match="cannot be written"):
        record.write(path / "below")
