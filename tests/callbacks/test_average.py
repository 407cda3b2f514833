import lightning.pytorch as pl
import pytest
import torch
from callback_fakes import Numbers, fit

from idiff.callbacks import WeightAverage
from idiff.errors import ConfigError


def by_hand(steps, start, decay):
    """avg_n = d avg_(n-1) + (1 - d) w_n with d = min(decay, (1 + n) / (10 + n))."""
    averages = [start.double()]
    for number, weight in enumerate(steps, start=1):
        d = min(decay, (1 + number) / (10 + number))
        averages.append(d * averages[-1] + (1 - d) * weight.double())
    return averages


@pytest.mark.parametrize("decay", [0.0, 0.25, 0.9999])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_average_follows_the_formula_and_is_what_validation_sees(tmp_path, decay, accumulation):
    average = WeightAverage(decay)
    start = Numbers().weight.detach().clone()
    options = {"accumulate_grad_batches": accumulation, "val_check_interval": 3 * accumulation}
    module, trainer = fit(tmp_path, average, steps=6, **options)
    expected = by_hand(module.steps, start, decay)
    assert average.updates == trainer.global_step == 6
    assert average.average.keys() == {"weight"}
    assert torch.allclose(average.average["weight"].double(), expected[-1], atol=1e-6)
    for seen, after in zip(module.seen, (3, 6), strict=True):
        assert torch.allclose(seen.double(), expected[after], atol=1e-6)
    assert torch.equal(module.weight, module.steps[-1])
    if decay == 0:
        assert torch.equal(average.average["weight"], module.steps[-1])


def test_a_checkpoint_holds_the_average_and_the_raw_weights_beside_it(tmp_path):
    average = WeightAverage(0.9)
    module, trainer = fit(tmp_path, average)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert torch.equal(saved["state_dict"]["weight"], average.average["weight"])
    assert torch.equal(saved["raw"]["weight"], module.weight)
    assert not torch.equal(saved["raw"]["weight"], saved["state_dict"]["weight"])
    assert saved["raw"].keys() == {"weight"}
    assert torch.equal(saved["state_dict"]["frozen.weight"], module.frozen.weight)
    assert saved["state_dict"]["count"] == 7
    other = Numbers()
    other.load_state_dict(saved["state_dict"])
    assert torch.equal(other.weight, average.average["weight"])


def test_half_precision_weights_are_averaged_in_float32(tmp_path):
    module = Numbers().bfloat16()
    average = WeightAverage(0.9)
    average.on_train_start(None, module)
    assert average.average["weight"].dtype == torch.float32
    checkpoint = {"state_dict": module.state_dict()}
    average.on_save_checkpoint(None, module, checkpoint)
    assert checkpoint["state_dict"]["weight"].dtype == torch.bfloat16


class BrokenError(Exception):
    pass


class BreakInValidation(pl.Callback):
    def on_validation_batch_start(self, trainer, *_):
        raise BrokenError


class SaveOnException(pl.Callback):
    """Saves as the process goes down, inside of the validation."""

    def on_exception(self, trainer, pl_module, exception):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/down.ckpt")


class SaveInValidation(pl.Callback):
    def on_validation_batch_end(self, trainer, *_):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/down.ckpt")


@pytest.mark.parametrize(
    "others",
    [
        [BreakInValidation(), SaveOnException()],
        [SaveInValidation()],
    ],
    ids=["exception", "saved-in-validation"],
)
@pytest.mark.parametrize("first", [True, False])
def test_whatever_saves_in_validation_the_raw_weights_are_saved_as_raw(tmp_path, others, first):
    average, module = WeightAverage(0.9), Numbers()
    callbacks = [average, *others] if first else [*others, average]
    try:
        fit(tmp_path, *callbacks, steps=3, module=module)
    except BrokenError:
        assert len(others) == 2
    saved = torch.load(tmp_path / "down.ckpt", weights_only=True)
    assert torch.equal(saved["raw"]["weight"], module.steps[-1])
    assert torch.equal(saved["state_dict"]["weight"], average.average["weight"])
    assert torch.equal(module.weight, module.steps[-1])


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ConfigError, match=r"ema.decay"):
        WeightAverage(decay)
