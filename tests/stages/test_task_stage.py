import math

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import TEXT, UNET
from stage_fakes import Rows, fit, rows
from torch import nn

from idiff.errors import CheckpointError, ConfigError, IdiffError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.checkpoint import load
from idiff.models.text import TextEncoder
from idiff.stages import TaskTraining
from idiff.types import Sampling


class Rates(Callback):
    """The learning rate of each optimizer step."""

    def __init__(self):
        self.rates = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])


def expected_rate(step, *, peak, warmup, decay, total):
    if step < warmup:
        return peak * (step + 1) / warmup
    if decay == "constant":
        return peak
    return peak * (0.01 + 0.99 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2)


@pytest.mark.parametrize("decay", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 3])
def test_the_learning_rate_warms_up_and_stays_or_falls(backbone, tmp_path, decay, warmup):
    seen = Rates()
    fit(TaskTraining(backbone=backbone, lr=1e-3, warmup_steps=warmup, decay=decay), tmp_path, seen, steps=6)
    wanted = [expected_rate(step, peak=1e-3, warmup=warmup, decay=decay, total=6) for step in range(6)]
    assert seen.rates == pytest.approx(wanted)


def test_a_cosine_ends_at_a_hundredth_and_stays_there(backbone):
    stage = TaskTraining(backbone=backbone, decay="cosine")
    stage.total_steps = 100
    assert stage.rate(100) == stage.rate(250) == pytest.approx(0.01)
    assert stage.rate(50) == pytest.approx(0.505)


def test_a_cosine_without_an_end_and_an_unknown_decay_are_refused(backbone, tmp_path):
    with pytest.raises(ConfigError, match="needs an end"):
        fit(TaskTraining(backbone=backbone, decay="cosine"), tmp_path, steps=-1, max_epochs=-1)
    with pytest.raises(ConfigError, match=r"unknown decay 'linear'\. Known: constant, cosine"):
        TaskTraining(backbone=backbone, decay="linear")


class Spoil(Callback):
    """Puts a value that is not finite into a gradient at some optimizer steps."""

    def __init__(self, steps, value):
        self.steps, self.value, self.weights = steps, value, []

    def on_after_backward(self, trainer, pl_module):
        if trainer.global_step in self.steps:
            pl_module.backbone.unet.conv_in.weight.grad[0, 0, 0, 0] = self.value

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.weights.append(pl_module.backbone.unet.conv_in.weight.detach().clone())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_update_with_gradients_that_are_not_finite_is_skipped_and_counted(backbone, tmp_path, value):
    stage, spoil = TaskTraining(backbone=backbone), Spoil({1, 2}, value)
    trainer = fit(stage, tmp_path, spoil, steps=5, gradient_clip_val=1.0)
    same = [torch.equal(a, b) for a, b in zip(spoil.weights, spoil.weights[1:], strict=False)]
    assert same == [True, True, False, False]
    assert (stage.skipped, stage.skipped_in_a_row, trainer.global_step) == (2, 0, 5)
    assert all(bool(torch.isfinite(p).all()) for p in stage.parameters())
    assert {int(state["step"]) for state in trainer.optimizers[0].state.values()} == {3}


def test_too_many_skipped_updates_in_a_row_stop_training_with_finite_weights_saved(backbone, tmp_path):
    stage = TaskTraining(backbone=backbone, max_skipped=2)
    with pytest.raises(IdiffError, match=r"3 updates in a row .* at step 5"):
        fit(stage, tmp_path, Spoil(set(range(3, 40)), math.nan), steps=20)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 4
    for part in (saved["state_dict"], saved["raw"]):
        assert all(bool(torch.isfinite(value).all()) for value in part.values())


def test_a_checkpoint_leaves_frozen_parts_out_and_is_read_with_the_average(backbone, tmp_path):
    stage = TaskTraining(backbone=backbone)
    fit(stage, tmp_path)
    path = tmp_path / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    parts = {key.split(".")[1] for key in saved["state_dict"]}
    assert parts == {"unet", "text"}
    assert {key.split(".")[1] for key in saved["raw"]} == parts
    assert saved["backbone"]["autoencoder"] == backbone.autoencoder.reference
    loaded = load(path)
    assert loaded.step == 4
    assert torch.equal(loaded.backbone.unet.conv_in.weight, saved["state_dict"]["backbone.unet.conv_in.weight"])
    assert not torch.equal(loaded.backbone.unet.conv_in.weight, stage.backbone.unet.conv_in.weight)


def test_frozen_text_is_left_out_too(backbone, autoencoder_folder, tmp_path):
    backbone.text.net.save_pretrained(tmp_path / "text")
    backbone.text.tokenizer.save_pretrained(tmp_path / "text")
    text = TextEncoder(weights=str(tmp_path / "text"))
    frozen = LatentDiffusion(autoencoder=Autoencoder(weights=autoencoder_folder), text=text, unet=UNET)
    stage = TaskTraining(backbone=frozen)
    fit(stage, tmp_path, steps=2)
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert {key.split(".")[1] for key in saved["state_dict"]} == {"unet"}
    assert saved["backbone"]["text"]["weights"]["sha256"] == frozen.text.reference["sha256"]


def small(folder, **over):
    return LatentDiffusion(
        autoencoder=Autoencoder(weights=folder), text=TextEncoder(config=TEXT), unet=UNET | over.get("unet", {})
    )


@pytest.mark.parametrize(
    ("unet", "word"),
    [({"layers_per_block": 2}, "missing"), ({"block_out_channels": [16, 32]}, "another shape")],
)
def test_a_checkpoint_of_another_model_is_refused_in_a_sentence(autoencoder_folder, tmp_path, unet, word):
    fit(TaskTraining(backbone=small(autoencoder_folder)), tmp_path, steps=2)
    other = TaskTraining(backbone=small(autoencoder_folder, unet=unet))
    with pytest.raises(CheckpointError, match=f"of another model: .*{word}"):
        fit(other, tmp_path, checkpoint=tmp_path / "checkpoints" / "last.ckpt")


def test_another_autoencoder_under_the_same_model_is_refused(autoencoder_folder, tmp_path):
    fit(TaskTraining(backbone=small(autoencoder_folder)), tmp_path, steps=2)
    other = Autoencoder(weights=autoencoder_folder)
    nn.init.zeros_(other.net.quant_conv.bias)
    other.net.register_to_config(scaling_factor=0.7)
    other.net.save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"the autoencoder at .*other is not the one"):
        fit(
            TaskTraining(backbone=small(str(tmp_path / "other"))),
            tmp_path,
            checkpoint=tmp_path / "checkpoints" / "last.ckpt",
        )


def test_init_from_starts_at_step_0_from_the_averaged_weights(backbone, autoencoder_folder, tmp_path):
    fit(TaskTraining(backbone=backbone), tmp_path)
    path = tmp_path / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    stage = TaskTraining(backbone=small(autoencoder_folder), init_from=str(path), lr=1e-3)
    for name, value in saved["state_dict"].items():
        assert torch.equal(stage.state_dict()[name], value), name
    assert "had taken 4 steps" in stage.backbone.report[-1]
    trainer = fit(stage, tmp_path / "next", steps=1)
    assert trainer.global_step == 1
    assert {int(state["step"]) for state in trainer.optimizers[0].state.values()} == {1}
    with pytest.raises(CheckpointError, match="does not fit this model"):
        TaskTraining(backbone=small(autoencoder_folder, unet={"block_out_channels": [16, 32]}), init_from=str(path))
    deeper = TaskTraining(backbone=small(autoencoder_folder, unet={"layers_per_block": 2}), init_from=str(path))
    assert any("weights are new" in line for line in deeper.backbone.report)


def test_an_optimizer_that_a_checkpoint_brought_follows_the_configuration(autoencoder_folder, tmp_path):
    fit(TaskTraining(backbone=small(autoencoder_folder), lr=1e-3, warmup_steps=8), tmp_path)
    seen = Rates()
    stage = TaskTraining(
        backbone=small(autoencoder_folder), lr=1e-2, warmup_steps=8, betas=(0.8, 0.9), weight_decay=0.5
    )
    trainer = fit(stage, tmp_path, seen, steps=6, checkpoint=tmp_path / "checkpoints" / "last.ckpt")
    assert seen.rates == pytest.approx([1e-2 * 5 / 8, 1e-2 * 6 / 8])
    group = trainer.optimizers[0].param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.8, 0.9), 0.5)


@pytest.mark.parametrize("max_rows", [1, 2, 3])
def test_painting_in_parts_is_painting_at_once(backbone, max_rows):
    batch = rows([3, 9, 4, 7, 1], side=64)
    sampling = Sampling(steps=2, guidance_text=3.0, guidance_image=1.5)
    at_once = TaskTraining(backbone=backbone, sampling=sampling).eval()
    in_parts = TaskTraining(backbone=backbone, sampling=sampling, max_rows=max_rows).eval()
    painted = at_once.paint(batch).images
    assert painted.shape == batch.target.shape
    assert torch.allclose(in_parts.paint(batch).images, painted, atol=1e-5)
    batch.sampling = Sampling(steps=1)
    assert not torch.allclose(at_once.paint(batch).images, painted, atol=1e-3)


def test_validation_logs_the_same_loss_each_time(backbone, tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, default_root_dir=tmp_path,
        enable_model_summary=False,
    )  # fmt: skip
    stage = TaskTraining(backbone=backbone, sampling=Sampling(steps=1))
    first, second = (trainer.validate(stage, datamodule=Rows(), verbose=False)[0] for _ in range(2))
    assert first == second
    assert math.isfinite(first["val/toy/loss"])
