import dataclasses

import numpy as np
import pytest
import torch
from small_models import TEXT, UNET

from idiff.diffusion import NoiseSchedule, draw_dropout, draw_timesteps, min_snr_weight
from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.text import TextEncoder
from idiff.types import Sampling
from idiff.utils.seeds import torch_rng


def randomise(module, seed=0):
    """The last convolution of a new U-Net block is zero in places: give every weight a value."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=rng))


def test_loss_depends_on_positions_and_seed_alone(backbone, batch):
    first = backbone.loss(batch, seed=0)
    torch.manual_seed(99)
    assert torch.equal(first, backbone.loss(batch, seed=0))
    assert not torch.equal(first, backbone.loss(batch, seed=1))
    assert not torch.equal(first, backbone.loss(dataclasses.replace(batch, position=batch.position + 4), seed=0))


def test_a_row_draws_the_same_in_any_batch(backbone, batch):
    parts = ("keys", "instruction", "source", "target", "query", "annotation", "position", "task")
    rows = [dataclasses.replace(batch, **{name: getattr(batch, name)[i : i + 1] for name in parts}) for i in range(4)]
    alone = torch.stack([backbone.loss(row, seed=0) for row in rows]).mean()
    assert torch.allclose(alone, backbone.loss(batch, seed=0), atol=1e-5)


def test_only_unet_and_text_encoder_are_trained(backbone, batch):
    backbone.train().loss(batch, seed=0).backward()
    trained = {name.split(".")[0] for name, p in backbone.named_parameters() if p.grad is not None}
    assert trained == {"unet", "text"}
    assert not any(p.requires_grad for p in backbone.autoencoder.parameters())
    assert not backbone.autoencoder.training


def test_a_dropped_text_is_the_empty_string(backbone, batch):
    backbone.objective.dropout_text, backbone.objective.dropout_image = 1.0, 0.0
    seen = []
    backbone.text.register_forward_pre_hook(lambda _, args: seen.extend(args[0]))
    backbone.loss(batch, seed=0)
    assert set(seen) == {""}
    seen.clear()
    backbone.loss(batch, seed=0, dropout=False)
    assert seen == batch.instruction


def test_a_dropped_image_is_a_latent_of_zeros_and_the_other_is_unscaled(backbone, batch):
    seen = []
    backbone.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    backbone.objective.dropout_text, backbone.objective.dropout_image = 0.0, 1.0
    backbone.loss(batch, seed=0)
    backbone.loss(batch, seed=0, dropout=False)
    channels = backbone.autoencoder.channels
    assert seen[0][:, channels:].abs().max() == 0
    mode = backbone.autoencoder.net.encode(batch.source).latent_dist.mode()
    assert torch.allclose(seen[1][:, channels:], mode, atol=1e-6)


def test_target_latent_is_scaled(backbone, batch):
    scaled = backbone.autoencoder.encode_target(batch.target)
    assert backbone.autoencoder.scale == 0.5
    assert torch.allclose(scaled, 0.5 * backbone.autoencoder.encode_source(batch.target))
    assert torch.allclose(backbone.autoencoder.decode(scaled), backbone.autoencoder.render(batch.target), atol=1e-6)


def test_pictures_depend_on_their_own_seed(backbone, batch):
    randomise(backbone.unet)
    sampling = Sampling(steps=3, sampler="euler_ancestral")
    together = backbone.edit(batch.source, batch.instruction, sampling=sampling, seeds=[5, 6, 7, 8])
    alone = backbone.edit(batch.source[2:3], batch.instruction[2:3], sampling=sampling, seeds=[7])
    assert together.shape == batch.source.shape
    assert together.abs().max() <= 1
    assert torch.allclose(together[2], alone[0], atol=1e-4)
    other = backbone.edit(batch.source[2:3], batch.instruction[2:3], sampling=sampling, seeds=[9])
    assert not torch.allclose(alone, other, atol=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_any_number_of_steps(backbone, batch, steps):
    picture = backbone.edit(batch.source[:1], batch.instruction[:1], sampling=Sampling(steps=steps), seeds=[0])
    assert picture.isfinite().all()


@pytest.mark.parametrize(
    ("text", "image", "rule", "count"),
    [(0.5, 0.5, "instructdiffusion", 1), (5.0, 0.5, "instructdiffusion", 2), (5.0, 1.25, "instructdiffusion", 3),
     (1.0, 1.0, "instructpix2pix", 1), (7.5, 1.5, "instructpix2pix", 3)],
)  # fmt: skip
def test_branches_run_in_one_batch(backbone, batch, text, image, rule, count):
    sizes = []
    backbone.unet.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    backbone.objective.rule = rule
    sampling = Sampling(steps=2, guidance_text=text, guidance_image=image)
    backbone.edit(batch.source, batch.instruction, sampling=sampling, seeds=range(4))
    assert sizes == [4 * count] * 2
    assert backbone.evaluations(sampling) == 2 * count


def test_guided_prediction_is_the_papers_formula(backbone, batch):
    randomise(backbone.unet)
    randomise(backbone.text)
    guided = backbone.edit(
        batch.source,
        batch.instruction,
        seeds=range(4),
        sampling=Sampling(steps=1, guidance_text=3.0, guidance_image=2.0),
    )
    latent = backbone.autoencoder.encode_source(batch.source)
    zeros = torch.zeros_like(latent)
    from idiff.diffusion import per_sample_noise, to_clean_and_noise
    from idiff.utils.seeds import torch_rng

    noise = per_sample_noise([torch_rng(0, "sample", i) for i in range(4)], latent.shape[1:])
    t = torch.full((4,), 999)
    with torch.no_grad():
        words, empty = backbone.text(batch.instruction), backbone.text([""] * 4)
        both, image, text = (
            backbone.predict(noise, t, states, condition)
            for states, condition in ((words, latent), (empty, latent), (words, zeros))
        )
        v = 0.5 * (image + text) + 3.0 * (both - image) + 2.0 * (both - text)
        clean, _ = to_clean_and_noise(v, noise, t=999, schedule=backbone.schedule, prediction_type="v_prediction")
        expected = backbone.autoencoder.decode(clean)
    assert torch.allclose(guided, expected, atol=1e-3)


def test_text_to_image_needs_no_source(autoencoder_folder, batch):
    model = LatentDiffusion(
        autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET, with_source=False
    )
    assert model.unet.config.in_channels == 4
    assert model.loss(dataclasses.replace(batch, source=None), seed=0).isfinite()
    picture = model.edit(None, ["a red square"], sampling=Sampling(steps=1), seeds=[0], side=64)
    assert picture.shape == (1, 3, 64, 64)
    with pytest.raises(ConfigError, match="has a source, this model takes none"):
        model.loss(batch, seed=0)


def test_widening_keeps_the_text_to_image_model(autoencoder_folder, batch, tmp_path):
    parts = {"autoencoder": Autoencoder(weights=autoencoder_folder), "text": TextEncoder(config=TEXT)}
    plain = LatentDiffusion(**parts, unet=UNET, with_source=False)
    randomise(plain.unet)
    plain.unet.save_pretrained(tmp_path / "unet")
    wide = LatentDiffusion(**parts, unet_weights=str(tmp_path))
    assert wide.unet.config.in_channels == 8
    assert any("widened 4 -> 8" in line for line in wide.report)
    noisy, states, t = torch.randn(2, 4, 16, 16), wide.text(["a", "b"]), torch.tensor([3, 700])
    expected = plain.predict(noisy, t, states, None)
    assert torch.allclose(wide.predict(noisy, t, states, torch.randn(2, 4, 16, 16)), expected, atol=1e-5)


def test_an_untrained_autoencoder_is_refused():
    from small_models import AUTOENCODER

    with pytest.raises(ConfigError, match="the autoencoder has no weights"):
        LatentDiffusion(autoencoder=Autoencoder(config=AUTOENCODER), text=TextEncoder(config=TEXT), unet=UNET)


def test_noise_prediction_with_zero_terminal_snr_is_refused(autoencoder_folder):
    with pytest.raises(ConfigError, match="zero_terminal_snr"):
        LatentDiffusion(
            autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET,
            objective=Objective(prediction="epsilon", zero_terminal_snr=True),
        )  # fmt: skip


def flat(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_training_lowers_the_loss(backbone, batch):
    backbone.train()
    before = backbone.loss(batch, seed=0, dropout=False).item()
    weights = flat(backbone.unet)
    optimizer = torch.optim.AdamW([p for p in backbone.parameters() if p.requires_grad], lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        backbone.loss(batch, seed=0, dropout=False).backward()
        optimizer.step()
    assert not torch.equal(weights, flat(backbone.unet))
    assert backbone.loss(batch, seed=0, dropout=False).item() < 0.9 * before


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_min_snr_weighs_a_row_once(backbone, batch, kind):
    """The weighted loss of one row over its plain loss is the weight, not its square."""
    backbone.objective.prediction, backbone.objective.terminal_share = kind, 0.0
    backbone.schedule = NoiseSchedule(zero_terminal_snr=False)
    parts = ("keys", "instruction", "source", "target", "query", "annotation", "position", "task")
    for i in range(4):
        row = dataclasses.replace(batch, **{name: getattr(batch, name)[i : i + 1] for name in parts})
        t = draw_timesteps([torch_rng(0, "noise", i)], backbone.schedule.num_train_timesteps)
        plain = backbone.loss(row, seed=0)
        backbone.objective.min_snr_gamma = 5.0
        weighted = backbone.loss(row, seed=0)
        backbone.objective.min_snr_gamma = None
        weight = min_snr_weight(backbone.schedule.snr(t), 5.0, prediction_type=kind)
        assert torch.allclose(weighted / plain, weight, rtol=1e-4)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_min_snr_loss_is_that_of_the_paper(backbone, batch, kind):
    """min(snr, gamma) on the error of x_0 (arXiv 2303.09556, section 3.4), computed in numpy from what the U-Net said."""
    backbone.objective = Objective(prediction=kind, min_snr_gamma=5.0, dropout_text=0.0, dropout_image=0.0)
    backbone.schedule = NoiseSchedule(zero_terminal_snr=False)
    randomise(backbone.unet)
    said = []
    backbone.unet.register_forward_hook(lambda _, inputs, output: said.append((inputs, output.sample)))
    loss = backbone.loss(batch, seed=0).item()
    ((noisy, t), prediction) = said[0]
    channels = backbone.autoencoder.channels
    noisy, out = (value.detach().double().numpy() for value in (noisy[:, :channels], prediction))
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = np.cumprod(1 - betas)[t.numpy()]
    alpha, sigma = (np.sqrt(part)[:, None, None, None] for part in (kept, 1 - kept))
    clean = {
        "sample": out,
        "epsilon": (noisy - sigma * out) / alpha,
        "v_prediction": alpha * noisy - sigma * out,
    }[kind]
    rngs = [torch_rng(0, "noise", i) for i in range(4)]
    draw_timesteps(rngs, 1000)
    draw_dropout(rngs, text=0.0, image=0.0, both=0.0)
    truth = backbone.autoencoder.encode_target(batch.target, rngs).detach().double().numpy()
    snr = kept / (1 - kept)
    expected = (np.minimum(snr, 5.0) * ((clean - truth) ** 2).mean(axis=(1, 2, 3))).mean()
    assert loss == pytest.approx(expected, rel=1e-3)


def test_a_missing_base_is_an_error(autoencoder_folder, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere"):
        LatentDiffusion(
            autoencoder=Autoencoder(weights=autoencoder_folder),
            text=TextEncoder(config=TEXT),
            unet_weights=str(tmp_path / "nowhere"),
        )
