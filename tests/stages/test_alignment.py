import math
import warnings

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from small_models import TEXT, UNET
from stage_fakes import Rows, fit, rows
from torch.utils.data import DataLoader

from idiff.callbacks import AtomicCheckpointIO, KeepLast, WeightAverage
from idiff.errors import CheckpointError, ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.io.checkpoint import load
from idiff.models.text import TextEncoder
from idiff.stages import PreferenceTraining, TaskTraining


class Pairs(Rows):
    """Rows whose chosen corner is red and whose rejected one is blue."""

    def train_dataloader(self):
        first = self.trainer.global_step
        batches = [pairs(range(i * self.batch, (i + 1) * self.batch)) for i in range(40)]
        return DataLoader([*batches[first:], *batches[:first]], batch_size=None)

    def val_dataloader(self):
        return DataLoader([pairs([1000, 1001])], batch_size=None)


class Cut(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            raise KeyError("cut")


class Seen(Callback):
    """What is logged at each step."""

    def __init__(self):
        self.logged = []

    def on_train_batch_end(self, trainer, *_):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def pairs(positions):
    batch = rows(positions)
    batch.rejected = batch.source.clone()
    batch.rejected[:, :, :16, :16] = torch.tensor([-1.0, -1.0, 1.0])[None, :, None, None]
    return batch


def train(stage, folder, *callbacks, steps=4, checkpoint=None, **options):
    settings = {
        "max_steps": steps, "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "limit_val_batches": 0,
        "enable_model_summary": False, "num_sanity_val_steps": 0, "default_root_dir": folder, "plugins": [AtomicCheckpointIO()],
        "enable_checkpointing": False, "use_distributed_sampler": False, "log_every_n_steps": 1,
    }  # fmt: skip
    trainer = pl.Trainer(callbacks=[WeightAverage(0.5), KeepLast(2), *callbacks], **(settings | options))
    trainer.fit(stage, datamodule=Pairs(), ckpt_path=checkpoint, weights_only=True)
    return trainer


@pytest.fixture
def make(autoencoder_folder):
    """A fresh small backbone, other weights for another seed."""

    def build(seed=1, **objective):
        torch.manual_seed(seed)
        objective = {"prediction": "v_prediction", "zero_terminal_snr": True, "spacing": "trailing"} | objective
        return LatentDiffusion(
            autoencoder=Autoencoder(weights=autoencoder_folder), text=TextEncoder(config=TEXT), unet=UNET,
            objective=Objective(**objective),
        )  # fmt: skip

    return build


@pytest.fixture
def start(make, tmp_path):
    """A checkpoint of two steps of stage 2."""
    fit(TaskTraining(backbone=make(), lr=1e-3), tmp_path / "start", steps=2)
    return str(tmp_path / "start" / "checkpoints" / "last.ckpt")


def test_it_needs_weights_to_start_from_and_a_beta(make, start):
    with pytest.raises(ConfigError, match=r"set model\.init_from"):
        PreferenceTraining(backbone=make())
    with pytest.raises(ConfigError, match="beta is 0"):
        PreferenceTraining(backbone=make(), init_from=start, beta=0)


def test_at_the_start_the_reference_is_the_model_and_the_loss_is_log_2(make, start):
    stage = PreferenceTraining(backbone=make(seed=9), init_from=start)
    stage.log = lambda *a, **k: None
    averaged = load(start).backbone.unet.state_dict()
    for name, value in stage.reference.unet.state_dict().items():
        assert torch.equal(value, averaged[name])
    assert not any(parameter.requires_grad for parameter in stage.reference.parameters())
    assert any(parameter.requires_grad for parameter in stage.backbone.text.parameters())
    stage.train()
    assert not stage.reference.unet.training
    loss = stage.loss(pairs(range(4)), train=True)
    assert float(loss.detach()) == pytest.approx(math.log(2), abs=1e-6)
    chosen, rejected = stage.rewards(pairs(range(4)))
    assert chosen.abs().max() == rejected.abs().max() == 0


def test_the_errors_are_those_of_the_training_loss_under_the_same_draws(make, start):
    stage = PreferenceTraining(backbone=make(), init_from=start, beta=1.0)
    for parameter in stage.reference.unet.parameters():
        parameter.data.zero_()  # another reference, so that rewards show
    batch = pairs(range(4))
    chosen, rejected = stage.rewards(batch)

    def errors(net, target):
        batch.target = target
        return net.loss(batch, seed=stage.seed, dropout=False)

    for gained, target in ((chosen, batch.target), (rejected, batch.rejected)):
        expected = errors(stage.reference, target) - errors(stage.backbone, target)
        torch.testing.assert_close(gained.mean(), expected, atol=1e-5, rtol=1e-4)


def test_rewards_of_a_row_do_not_depend_on_its_batch(make, start):
    stage = PreferenceTraining(backbone=make(min_snr_gamma=5.0), init_from=start)
    torch.manual_seed(5)
    for parameter in stage.backbone.unet.parameters():
        parameter.data.add_(0.01 * torch.randn_like(parameter))
    together = stage.rewards(pairs(range(4)))
    alone = [stage.rewards(pairs([position])) for position in range(4)]
    for side in (0, 1):
        torch.testing.assert_close(together[side], torch.cat([one[side] for one in alone]), atol=0.05, rtol=1e-3)


def test_training_learns_the_preference_and_logs_it(make, start, tmp_path):
    seen = Seen()
    stage = PreferenceTraining(backbone=make(), init_from=start, lr=2e-3, beta=200.0)
    before = {name: value.clone() for name, value in stage.reference.state_dict().items()}
    train(stage, tmp_path / "run", seen, steps=20)
    first, last = seen.logged[0], seen.logged[-10:]
    assert first["train/preference_accuracy"] == 0.5 and first["train/preference_margin"] == 0
    assert first["train/loss"] == pytest.approx(math.log(2), abs=1e-5)
    mean = {name: sum(step[name] for step in last) / len(last) for name in first}
    assert mean["train/preference_accuracy"] > 0.8
    assert mean["train/preference_margin"] == pytest.approx(
        mean["train/reward_chosen"] - mean["train/reward_rejected"], abs=1e-3
    )
    assert mean["train/loss"] < 0.6
    assert all(torch.equal(value, before[name]) for name, value in stage.reference.state_dict().items())


def test_a_run_that_was_cut_goes_on_bit_by_bit(make, start, tmp_path):
    options = {"init_from": start, "lr": 1e-3, "beta": 100.0}
    train(PreferenceTraining(backbone=make(), **options), tmp_path / "whole", steps=6)
    with pytest.raises(KeyError, match="cut"):
        train(PreferenceTraining(backbone=make(), **options), tmp_path / "cut", Cut(4), steps=6)
    path = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    assert saved["global_step"] == 4
    assert not any(key.startswith("reference.") for key in saved["state_dict"])
    assert saved["reference"]["path"] == start and len(saved["reference"]["sha256"]) == 64
    train(PreferenceTraining(backbone=make(seed=3), **options), tmp_path / "cut", steps=6, checkpoint=str(path))
    one, other = (
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("whole", "cut")
    )
    for part in ("state_dict", "raw"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    assert load(path).step == 6  # read as any checkpoint of stage 2


def test_another_reference_is_refused(make, start, tmp_path):
    train(PreferenceTraining(backbone=make(), init_from=start), tmp_path / "run", steps=2)
    path = str(tmp_path / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"the reference at .*last.ckpt is not the one this training began with"):
        train(PreferenceTraining(backbone=make(), init_from=path), tmp_path / "other", checkpoint=path)
    with pytest.raises(CheckpointError, match="from a training without preferences"):
        train(PreferenceTraining(backbone=make(), init_from=start), tmp_path / "other", checkpoint=start)


def test_rows_without_a_rejected_picture_are_refused_in_training_and_validated_as_usual(make, start):
    stage = PreferenceTraining(backbone=make(), init_from=start)
    batch = rows(range(2))
    with pytest.raises(ConfigError, match="examples of toy have no rejected images: preference training needs pairs"):
        stage.loss(batch, train=True)
    expected = stage.backbone.loss(batch, seed=stage.seed, dropout=False)
    torch.testing.assert_close(stage.loss(batch, train=False), expected)


def test_validation_logs_the_preference_of_each_task(make, start, tmp_path):
    stage = PreferenceTraining(backbone=make(), init_from=start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = train(stage, tmp_path / "run", steps=2, limit_val_batches=1, val_check_interval=2)
    assert 0 <= float(trainer.callback_metrics["val/toy/preference_accuracy"]) <= 1
    assert "val/toy/preference_margin" in trainer.callback_metrics
