import json
import math

import lightning.pytorch as pl
import pytest
import stage_fakes
import torch
from lightning.pytorch.callbacks import Callback
from stage_fakes import Rows, fit

from idiff.decoders import UNetDecoder
from idiff.decoders.color import color_scores
from idiff.decoders.weights import load, save
from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.stages import ReadoutTraining
from idiff.stages.disturbance import Disturbance, blurred, shifted
from idiff.stages.readout_loss import readout_loss, repaint
from idiff.types import Sampling
from idiff.utils.painting import blend, disc_maps, discs
from idiff.utils.seeds import numpy_rng

PLAIN = stage_fakes.rows
RED, BLUE = [255, 0, 0], [0, 0, 255]


def rows(positions):
    """Even rows: an ellipse tinted red, or in every eighth row nothing. Odd rows: a red and a blue disc."""
    batch = PLAIN(list(positions))
    answers = torch.zeros(len(batch), 2, 32, 32)
    for row, position in enumerate(positions):
        rng = numpy_rng(0, "test", position)
        places = rng.uniform(4, 28, (2, 2))
        batch.target[row] = batch.source[row]
        if position % 2:
            answers[row] = disc_maps(places, (32, 32), 3.0).float()
            batch.target[row] = discs(batch.source[row], places, [RED, BLUE], radius=3.0)
            batch.query[row] |= {"rgbs": [RED, BLUE], "transparency": 0.0}
        else:
            mask = disc_maps(places[:1], (32, 32), 6.0)[0] & torch.tensor(position % 8 != 0)
            answers[row, 0] = mask.float()
            batch.target[row] = blend(batch.source[row], mask, RED, 0.3)
            batch.query[row] |= {"rgb": RED, "transparency": 0.3}
    batch.answer = answers
    return batch


@pytest.fixture(autouse=True)
def painted_rows(monkeypatch):
    monkeypatch.setattr(stage_fakes, "rows", rows)


class Losses(Callback):
    def __init__(self):
        self.losses = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))


def stage(**options):
    torch.manual_seed(0)
    settings = {"autoencoder": Autoencoder(weights="tiny-base"), "widths": (8, 16), "lr": 5e-3}
    return ReadoutTraining(**(settings | options))


def validate(model, folder, **options):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, default_root_dir=folder,
        enable_model_summary=False, **options,
    )  # fmt: skip
    return trainer.validate(model, datamodule=HeldOut(), verbose=False)[0]


class HeldOut(Rows):
    def val_dataloader(self):
        return torch.utils.data.DataLoader([rows(range(1000, 1012)), rows(range(1012, 1024))], batch_size=None)


def test_training_lowers_the_loss_and_writes_a_decoder(tmp_path):
    model, seen = stage(), Losses()
    fit(model, tmp_path, seen, steps=30)
    assert sum(seen.losses[-6:]) < 0.7 * sum(seen.losses[:6])
    found = load(tmp_path / "decoder")
    for name, value in model.net.state_dict().items():
        assert torch.equal(found.net.state_dict()[name], value), name
    assert found.trained == {"step": 30} and found.calibrations == {}
    assert UNetDecoder(tmp_path).weights == str(tmp_path)  # the run folder has it inside


def test_a_continued_run_ends_as_an_uncut_one(tmp_path):
    whole, late = stage(), stage()
    fit(whole, tmp_path / "whole", steps=6)
    fit(stage(), tmp_path / "cut", steps=4)
    fit(late, tmp_path / "cut", steps=6, checkpoint=tmp_path / "cut" / "checkpoints" / "last.ckpt")
    for name, value in whole.net.state_dict().items():
        assert torch.equal(late.net.state_dict()[name], value), name


def test_a_checkpoint_holds_the_net_alone_and_its_calibration(tmp_path):
    model = stage()
    model.calibrations = {"opaque": stage_calibration()}
    fit(model, tmp_path, steps=2)
    content = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert {name.split(".")[0] for name in content["state_dict"]} == {"net"}
    late = stage()
    fit(late, tmp_path, steps=3, checkpoint=tmp_path / "checkpoints" / "last.ckpt")
    assert late.calibrations == model.calibrations == load(tmp_path / "decoder").calibrations


def stage_calibration():
    from idiff.decoders.calibration import Calibration

    return Calibration(1.5, 0.25)


def test_a_dry_run_writes_no_decoder(tmp_path):
    fit(stage(), tmp_path, fast_dev_run=True)
    assert not (tmp_path / "decoder").exists()


def test_validation_calibrates_on_one_half_and_tells_the_error_of_the_other(tmp_path):
    model = stage()
    with torch.no_grad():
        model.net.conv_out.bias.fill_(2.0)  # far too sure that everything is painted
    logged = validate(model, tmp_path)
    assert set(model.calibrations) == {"opaque", "blended"}
    assert logged["val/ece"] < 0.2 * logged["val/ece_raw"] and logged["val/ece_raw"] > 0.5
    assert all(one.bias < 0 for one in model.calibrations.values())
    assert math.isfinite(logged["val/toy/loss"])


def test_the_reading_is_painted_anew_so_that_any_decoder_scores_it():
    batch, model = rows([2, 3]), stage(generated_share=0.0, disturbance=Disturbance(share=0.0))
    wanted = torch.stack([batch.answer[0, 0], torch.zeros(32, 32)])
    source = batch.source[:1]
    blends = torch.stack([torch.lerp(torch.tensor([1.0, -1, -1])[:, None, None], source[0], 0.3)] * 2)[None]
    picture = repaint(source, blends, wanted[None])
    colors = torch.tensor([[[1.0, -1, -1]]])
    assert torch.equal(color_scores(picture, source, colors, 0.3)[0, 0] > 0.5, wanted[0] > 0.5)
    half = repaint(source, blends[:, :1], torch.full((1, 1, 32, 32), 0.4))
    assert not (color_scores(half, source, colors, 0.3) > 0.5).any()
    model._trainer = None
    model.log = lambda *_, **__: None
    assert model.validation_step(batch, 0).images.shape == batch.target.shape


def test_truth_that_is_not_disturbed_is_only_rendered():
    batch, model = rows(range(4)), stage(disturbance=Disturbance(share=0.0))
    edited, rendered = model.paint(batch)
    assert torch.allclose(edited, model.render(batch.target), atol=1e-5)
    assert torch.allclose(rendered, model.render(batch.source), atol=1e-5)


def test_the_generator_paints_rows_by_their_position_alone():
    torch.manual_seed(0)
    model = ReadoutTraining(generator="tiny", generated_share=1.0, steps=[1, 2], widths=(4,))
    batch = rows(range(4))
    edited, _ = model.paint(batch)
    alone, _ = model.paint(rows([2]))
    assert torch.allclose(edited[2], alone[0], atol=1e-4)
    ways = [
        model.backbone.edit(batch.source, batch.instruction, sampling=Sampling(steps=steps), seeds=range(4))
        for steps in (1, 2)
    ]
    near = torch.stack([(edited - way).abs().amax(dim=(1, 2, 3)) for way in ways])
    assert near.amin(dim=0).max() < 1e-4 and len(set(near.argmin(dim=0).tolist())) == 2
    model.train()
    assert not model.backbone.training and not model.backbone.unet.training and model.net.training


def test_another_generator_on_resume_is_refused(tmp_path):
    fit(stage(), tmp_path, steps=2)
    other = stage()
    other.trained = {"generator": "tiny", "generator_sha256": "0" * 64}
    with pytest.raises(CheckpointError, match="the generator is not the one"):
        fit(other, tmp_path, steps=4, checkpoint=tmp_path / "checkpoints" / "last.ckpt")


def test_training_goes_on_from_a_decoder(tmp_path):
    torch.manual_seed(5)
    folder = save(tmp_path / "decoder", stage().net)
    torch.manual_seed(6)
    model = stage(init_from=str(folder))
    for name, value in load(folder).net.state_dict().items():
        assert torch.equal(model.net.state_dict()[name], value), name
    with pytest.raises(CheckpointError, match=r"has widths \[8, 16\], expected \[4\]"):
        stage(init_from=str(folder), widths=(4,))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"autoencoder": None}, "got neither"),
        ({"generator": "tiny"}, "got both"),
        ({"generated_share": 1.5}, "generated_share is 1.5: expected 0 or more and at most 1"),
        ({"steps": [0]}, "steps is 0: expected 1 or more"),
    ],
)
def test_settings_are_checked(options, says):
    with pytest.raises(ConfigError, match=says):
        stage(**options)


def test_batches_that_cannot_be_read_are_refused():
    model = stage()
    batch = rows([1])
    batch.answer = None
    with pytest.raises(ConfigError, match="answer has none"):
        model.loss(batch, train=True)
    batch.answer = torch.zeros(1, 1, 32, 32)
    with pytest.raises(ConfigError, match="1 maps per example, its queries ask for 2"):
        model.loss(batch, train=True)
    with pytest.raises(ConfigError, match="expected 'rgb'"):
        model.loss(PLAIN([1]), train=True)
    batch = rows([1])
    batch.source = None
    with pytest.raises(ConfigError, match="train it on tasks that have one"):
        model.loss(batch, train=True)


def test_the_loss_is_least_for_the_truth():
    truth = rows([2]).answer[0, :1]
    right, wrong, empty = 9 * (2 * truth - 1), 9 * (1 - 2 * truth), torch.full_like(truth, -9.0)
    for weight in (0.0, 1.0):
        losses = [float(readout_loss(one, truth, overlap_weight=weight)) for one in (right, empty, wrong)]
        assert losses == sorted(losses) and losses[0] < 1e-3
    nothing = torch.zeros_like(truth)
    assert readout_loss(empty, nothing, overlap_weight=1.0) == readout_loss(empty, nothing, overlap_weight=0.0)


# disturbance


def disturbed(seed, **options):
    batch = rows([2])
    rng = torch.Generator().manual_seed(seed)
    return batch, Disturbance(**options)(batch.target[0], batch.source[0], 0.3, rng)


def test_the_same_generator_disturbs_alike():
    (batch, one), (_, two), (_, other) = disturbed(1, share=1.0), disturbed(1, share=1.0), disturbed(2, share=1.0)
    assert torch.equal(one, two) and not torch.equal(one, other) and not torch.equal(one, batch.target[0])
    assert one.shape == (3, 32, 32) and one.abs().max() <= 1 and one.isfinite().all()


def test_no_share_disturbs_nothing():
    batch, same = disturbed(1, share=0.0)
    assert torch.equal(same, batch.target[0])


def test_fading_and_dropouts_take_paint_away_and_nothing_else():
    off = {"shift": 0, "patches": 0, "blur": 0.0, "shade": 0.0, "noise": 0.0}
    for seed in range(5):
        batch, faded = disturbed(seed, share=1.0, **off)
        inside = batch.answer[0, 0] > 0
        assert torch.allclose(faded[:, ~inside], batch.source[0][:, ~inside], atol=1e-6)
        lost = (faded - batch.source[0]).abs().sum() / (batch.target[0] - batch.source[0]).abs().sum()
        assert 0.2 < float(lost) < 1.0


def test_shift_and_blur():
    picture = torch.arange(2 * 3 * 4.0).view(1, 4, 6).expand(3, 4, 6)
    moved = shifted(picture, 1, -2)
    assert torch.equal(moved[:, :2, 1:], picture[:, 2:, :-1]) and torch.equal(moved[:, :, 0], moved[:, :, 1])
    flat = torch.full((3, 9, 9), 0.3)
    assert torch.allclose(blurred(flat, 1.5), flat)
    speck = torch.zeros(3, 9, 9)
    speck[:, 4, 4] = 1
    soft = blurred(speck, 1.0)
    assert soft.sum() == pytest.approx(3, rel=0.01) and soft[0, 4, 4] == pytest.approx(1 / (2 * math.pi), rel=0.05)
    assert torch.equal(blurred(speck, 0.05), speck)


def test_strengths_are_checked():
    with pytest.raises(ConfigError, match="share is 2"):
        Disturbance(share=2)
    with pytest.raises(ConfigError, match=r"noise is -0\.1: expected 0 or more"):
        Disturbance(noise=-0.1)


def test_a_config_json_names_what_it_was_trained_on(tmp_path):
    model = stage()
    model.trained = {"generator": "tiny", "generator_sha256": "ab", "steps": [1, 4]}
    fit(model, tmp_path, steps=2)
    written = json.loads((tmp_path / "decoder" / "config.json").read_text())
    assert written["trained"] == {"generator": "tiny", "generator_sha256": "ab", "steps": [1, 4], "step": 2}
