"""Adapters: what is trained, what a checkpoint holds, and the merged model that comes back."""

import importlib.util
import shutil

import pytest
import torch
from small_models import TEXT, UNET
from stage_fakes import fit, rows

from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io.checkpoint import load
from idiff.models.io.export import write_folder
from idiff.models.lora import ADAPTER, Lora, has_adapters, merged_copy
from idiff.models.text import TextEncoder
from idiff.stages import TaskTraining
from idiff.types import Sampling

RESIDUAL = Objective(prediction="sample", zero_terminal_snr=True, spacing="trailing", residual=True)


def model(folder, *, seed=1, **over):
    torch.manual_seed(seed)
    return LatentDiffusion(
        autoencoder=Autoencoder(weights=folder), text=TextEncoder(config=TEXT), **({"unet": UNET} | over)
    )


def randomise(net, seed=0):
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in [*net.unet.parameters(), *net.text.parameters()]:
            p.add_(0.05 * torch.randn(p.shape, generator=rng))
    return net


@pytest.fixture
def base(autoencoder_folder, tmp_path):
    """An exported model that knows something."""
    return str(write_folder(randomise(model(autoencoder_folder)), tmp_path / "base", config={}, step=5, half=False))


def stage(autoencoder_folder, base, *, lr=1e-2, lora=None, **over):
    return TaskTraining(
        backbone=model(autoencoder_folder, seed=9, **over), init_from=base, lora=lora or Lora(rank=2, alpha=4.0), lr=lr
    )


def painted(net):
    batch = rows([3, 4], side=64)
    return net.eval().edit(batch.source, batch.instruction, sampling=Sampling(steps=2), seeds=[0, 1])


def checkpoint(folder):
    return folder / "checkpoints" / "last.ckpt"


def test_adapters_change_the_output_after_training_and_not_before(autoencoder_folder, base, tmp_path):
    trained = stage(autoencoder_folder, base)
    before = painted(load(base).backbone)
    assert torch.allclose(painted(trained.backbone), before, atol=1e-6)
    fit(trained, tmp_path / "run", steps=6)
    after = painted(load(checkpoint(tmp_path / "run")).backbone)
    assert (after - before).abs().max() > 1e-3
    assert torch.equal(painted(load(base).backbone), before)


def test_only_adapters_are_trained_where_everything_was_loaded(autoencoder_folder, base, tmp_path):
    trained = stage(autoencoder_folder, base)
    names = {name for name, p in trained.named_parameters() if p.requires_grad}
    assert names and all(ADAPTER in name for name in names)
    started = {name: value.clone() for name, value in trained.state_dict().items()}
    fit(trained, tmp_path / "run")
    moved = {name for name, value in trained.state_dict().items() if not torch.equal(value, started[name])}
    assert moved and moved <= names


def test_a_checkpoint_is_small_holds_what_is_trained_and_names_its_base(autoencoder_folder, base, tmp_path):
    trained = stage(autoencoder_folder, base)
    fit(trained, tmp_path / "run")
    saved = torch.load(checkpoint(tmp_path / "run"), weights_only=True)
    names = {name for name, p in trained.named_parameters() if p.requires_grad}
    assert set(saved["state_dict"]) == set(saved["raw"]) == names
    assert saved["lora"]["base"]["path"] == base and saved["lora"]["base"]["sha256"] == load(base).sha256
    whole = TaskTraining(backbone=model(autoencoder_folder), init_from=base)
    fit(whole, tmp_path / "whole")
    sizes = [sum(value.numel() for value in torch.load(checkpoint(tmp_path / run), weights_only=True)["state_dict"].values())
             for run in ("run", "whole")]  # fmt: skip
    assert sizes[0] < 0.1 * sizes[1]


def test_the_merged_model_is_the_model_with_adapters(autoencoder_folder, base, tmp_path):
    trained = stage(autoencoder_folder, base)
    fit(trained, tmp_path / "run", steps=6)
    trained.take_average()
    with_adapters = painted(trained.backbone)
    loaded = load(checkpoint(tmp_path / "run"))
    assert loaded.step == 6 and not has_adapters(loaded.backbone)
    assert set(loaded.backbone.state_dict()) == set(model(autoencoder_folder).state_dict())
    assert torch.allclose(painted(loaded.backbone), with_adapters, atol=1e-5)
    for net in (trained.backbone, loaded.backbone):
        folder = write_folder(net, tmp_path / f"out{has_adapters(net)}", config={}, step=6, half=False)
        assert torch.allclose(painted(load(folder).backbone), with_adapters, atol=1e-5)
    assert has_adapters(trained.backbone)


def test_a_cut_run_goes_on_bit_by_bit(autoencoder_folder, base, tmp_path):
    fit(stage(autoencoder_folder, base), tmp_path / "uncut", steps=4)
    fit(stage(autoencoder_folder, base), tmp_path / "cut", steps=2)
    fit(stage(autoencoder_folder, base), tmp_path / "cut", steps=4, checkpoint=checkpoint(tmp_path / "cut"))
    one, other = (torch.load(checkpoint(tmp_path / run), weights_only=True) for run in ("uncut", "cut"))
    assert one["global_step"] == other["global_step"] == 4
    for part in ("state_dict", "raw"):
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    for number, moments in one["optimizer_states"][0]["state"].items():
        assert all(
            torch.equal(value, other["optimizer_states"][0]["state"][number][name]) for name, value in moments.items()
        )


def test_another_base_or_none_is_refused(autoencoder_folder, base, tmp_path):
    fit(stage(autoencoder_folder, base), tmp_path / "run", steps=2)
    path = checkpoint(tmp_path / "run")
    shutil.move(base, tmp_path / "away")
    with pytest.raises(CheckpointError, match=r"base is missing\. Expected"):
        load(path)
    write_folder(randomise(model(autoencoder_folder), seed=8), base, config={}, step=5, half=False)
    with pytest.raises(CheckpointError, match=r"holds adapters of .*base, which is another one now"):
        load(path)
    with pytest.raises(CheckpointError, match=r"the base of the adapters at .*base is not the one"):
        fit(stage(autoencoder_folder, base), tmp_path / "run", checkpoint=path)


def test_with_and_without_adapters_are_two_models(autoencoder_folder, base, tmp_path):
    fit(stage(autoencoder_folder, base), tmp_path / "run", steps=2)
    plain = TaskTraining(backbone=model(autoencoder_folder), init_from=base)
    with pytest.raises(CheckpointError, match="has adapters, this model none"):
        fit(plain, tmp_path / "run", checkpoint=checkpoint(tmp_path / "run"))
    fit(plain, tmp_path / "plain", steps=2)
    with pytest.raises(CheckpointError, match="has no adapters, this model some"):
        fit(stage(autoencoder_folder, base), tmp_path / "plain", checkpoint=checkpoint(tmp_path / "plain"))


def test_what_is_new_is_trained_in_full(autoencoder_folder, tmp_path):
    """From a text-to-image model the source comes in through weights that are new."""
    plain = write_folder(
        randomise(model(autoencoder_folder, with_source=False)), tmp_path / "plain", config={}, step=5, half=False
    )
    more = {**UNET, "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]}
    trained = stage(autoencoder_folder, str(plain), objective=RESIDUAL, unet=more)
    names = {name for name, p in trained.backbone.named_parameters() if p.requires_grad and ADAPTER not in name}
    attention = {name for name in names if name.startswith("unet.up_blocks.1.attentions.")}
    assert attention and names - attention == {"unet.conv_in.weight", "unet.conv_out.weight", "unet.conv_out.bias"}
    before = painted(trained.backbone)
    assert torch.allclose(before, trained.backbone.autoencoder.render(rows([3, 4], side=64).source), atol=1e-4)
    fit(trained, tmp_path / "run", steps=6)
    trained.take_average()
    after = painted(load(checkpoint(tmp_path / "run")).backbone)
    assert (after - before).abs().max() > 1e-3
    assert torch.allclose(after, painted(trained.backbone), atol=1e-5)


def test_adapters_on_unet_weights_alone(autoencoder_folder, base, tmp_path):
    """A text encoder without weights is new beside them: it is trained in full, and stored."""
    trained = TaskTraining(
        backbone=model(autoencoder_folder, unet=None, unet_weights=base),
        lora=Lora(rank=2, targets=["to_q", "conv1"]),
        lr=1e-2,
    )
    names = {name.split(".")[1] for name, p in trained.named_parameters() if p.requires_grad and ADAPTER not in name}
    assert names == {"text"}
    fit(trained, tmp_path / "run")
    trained.take_average()
    assert torch.allclose(painted(load(checkpoint(tmp_path / "run")).backbone), painted(trained.backbone), atol=1e-5)


def test_settings_that_cannot_be_used_are_refused(autoencoder_folder, base, monkeypatch):
    with pytest.raises(ConfigError, match="lora adapts trained weights and this model has none"):
        TaskTraining(backbone=model(autoencoder_folder), lora=Lora())
    with pytest.raises(ConfigError, match="unknown target of lora 'to_queue'; did you mean"):
        stage(autoencoder_folder, base, lora=Lora(targets=["to_queue"]))
    for wrong in ({"rank": 0}, {"alpha": 0.0}, {"targets": []}):
        with pytest.raises(ConfigError, match=rf"lora\.{next(iter(wrong))} is .*expected"):
            Lora(**wrong)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs the package peft, .* pip install 'idiff\[lora\]'"):
        stage(autoencoder_folder, base)


def test_a_copy_without_adapters_leaves_plain_models_alone(autoencoder_folder):
    net = model(autoencoder_folder).unet
    copied = merged_copy(net)
    assert copied is not net
    assert all(torch.equal(value, copied.state_dict()[name]) for name, value in net.state_dict().items())
