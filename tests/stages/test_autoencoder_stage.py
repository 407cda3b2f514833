import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import AUTOENCODER
from stage_fakes import Rows, fit, rows

from idiff.models.autoencoder import Autoencoder
from idiff.stages import AutoencoderTraining


def stage(**options):
    torch.manual_seed(0)
    return AutoencoderTraining(autoencoder=Autoencoder(config=AUTOENCODER | {"scaling_factor": 1.0}), **options)


class Losses(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


def test_training_lowers_the_loss_and_writes_a_folder_with_the_measured_scale(tmp_path):
    model, seen = stage(lr=5e-3, betas=(0.9, 0.99)), Losses()
    with torch.no_grad():
        before = float(model.loss(rows([1000, 1001]), train=False))
    fit(model, tmp_path, seen, steps=40)
    with torch.no_grad():
        after = float(model.loss(rows([1000, 1001]), train=False))
    assert after < 0.7 * before
    assert sum(seen.losses[-5:]) < 0.8 * sum(seen.losses[:5])
    assert len(model.spread) == 40
    scale = 40 / sum(model.spread)
    folder = tmp_path / "autoencoder"
    assert json.loads((folder / "config.json").read_text())["scaling_factor"] == pytest.approx(scale)
    loaded = Autoencoder(weights=str(folder))
    assert loaded.scale == pytest.approx(scale)
    pictures = rows([5]).source
    assert torch.allclose(loaded.moments(pictures)[0], model.autoencoder.moments(pictures)[0])


def test_the_scale_brings_latents_to_unit_variance(tmp_path):
    model = stage(lr=1e-3)
    fit(model, tmp_path, steps=8)
    loaded = Autoencoder(weights=str(tmp_path / "autoencoder"))
    with torch.no_grad():
        stds = [float(loaded.encode_target(rows(range(i, i + 4)).target).std()) for i in range(0, 16, 4)]
    assert sum(stds) / len(stds) == pytest.approx(1, abs=0.35)


def test_a_run_resumed_after_its_end_writes_the_folder_again(tmp_path):
    fit(stage(), tmp_path, steps=4)
    folder = tmp_path / "autoencoder"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    fit(stage(), tmp_path, steps=4, checkpoint=tmp_path / "checkpoints" / "last.ckpt")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_continued_run_ends_as_an_uncut_one(tmp_path):
    whole, late = stage(), stage()
    fit(whole, tmp_path / "whole", steps=6)
    fit(stage(), tmp_path / "cut", steps=4)
    fit(late, tmp_path / "cut", steps=6, checkpoint=tmp_path / "cut" / "checkpoints" / "last.ckpt")
    assert late.spread == whole.spread
    for name, value in whole.state_dict().items():
        assert torch.equal(late.state_dict()[name], value), name


def test_a_dry_run_writes_no_folder(tmp_path):
    fit(stage(), tmp_path, fast_dev_run=True)
    assert not (tmp_path / "autoencoder").exists()


def test_validation_logs_psnr_of_the_target_in_db(tmp_path):
    import lightning.pytorch as pl

    model = stage()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, default_root_dir=tmp_path,
        enable_model_summary=False,
    )  # fmt: skip
    logged = trainer.validate(model, datamodule=Rows(), verbose=False)[0]["val/toy/psnr"]
    batch = rows([1000, 1001])
    with torch.no_grad():
        rendered = model.render(batch.target)
    shares = (rendered - batch.target) / 2  # images on [0, 1]
    by_hand = torch.stack([10 * torch.log10(1 / share.square().mean()) for share in shares]).mean()
    assert logged == pytest.approx(float(by_hand), abs=1e-3)


def test_training_the_decoder_alone_keeps_every_latent_as_it_is(tmp_path, autoencoder_folder):
    model = AutoencoderTraining(autoencoder=Autoencoder(weights=autoencoder_folder), decoder_only=True, lr=1e-2)
    fit(model, tmp_path, steps=6)
    before, after = Autoencoder(weights=autoencoder_folder), Autoencoder(weights=str(tmp_path / "autoencoder"))
    assert after.scale == before.scale == 0.5
    old = before.net.state_dict()
    changed = {name for name, value in after.net.state_dict().items() if not torch.equal(value, old[name])}
    assert {name.split(".")[0] for name in changed} == {"decoder", "post_quant_conv"}
    pictures = rows([5]).source
    assert torch.equal(after.encode_source(pictures), before.encode_source(pictures))
    assert not torch.allclose(after.render(pictures), before.render(pictures), atol=1e-3)
