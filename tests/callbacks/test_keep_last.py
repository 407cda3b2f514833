import os
import signal

import lightning.pytorch as pl
import pytest
import torch
from callback_fakes import Numbers, fit

from idiff.callbacks import KeepLast
from idiff.callbacks.checkpoint_io import newest
from idiff.errors import ConfigError


class SavedSteps(KeepLast):
    """Also writes down the step of each save."""

    def __init__(self, every_n_steps):
        super().__init__(every_n_steps)
        self.steps = []

    def _save(self, trainer):
        super()._save(trainer)
        self.steps.append(trainer.global_step)


class Terminate(pl.Callback):
    """Sends a signal to this process at a batch, or in the first validation."""

    def __init__(self, batch=None, number=signal.SIGTERM):
        self.batch, self.number = batch, number

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == self.batch:
            os.kill(os.getpid(), self.number)

    def on_validation_batch_start(self, trainer, *_):
        if self.batch is None:
            os.kill(os.getpid(), self.number)


def last(folder):
    return torch.load(newest(folder / "checkpoints")[0], weights_only=True)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(("every", "steps"), [(2, [2, 4, 5]), (5, [5]), (100, [5])])
def test_it_saves_every_so_many_steps_and_the_last(tmp_path, every, steps, accumulation):
    keep = SavedSteps(every)
    module, _ = fit(tmp_path, keep, steps=5, accumulate_grad_batches=accumulation)
    assert keep.steps == steps
    saved = last(tmp_path)
    assert saved["global_step"] == 5
    assert torch.equal(saved["state_dict"]["weight"], module.weight)


@pytest.mark.parametrize(
    ("accumulation", "batch", "step"),
    [(1, 1, 2), (2, 2, 2), (2, 3, 2), (1, None, 4)],
    ids=["a-step", "its-first-half", "its-second-half", "validation"],
)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["sigterm", "ctrl-c"])
def test_a_signal_finishes_the_step_saves_and_exits(tmp_path, capfd, number, code, accumulation, batch, step):
    options = {"accumulate_grad_batches": accumulation, "steps": 6}
    uncut, _ = fit(tmp_path, **options)
    before = signal.getsignal(number)
    module = Numbers()
    with pytest.raises(SystemExit) as stop:
        fit(tmp_path, Terminate(batch, number), KeepLast(100), module=module, **options)
    assert stop.value.code == code
    assert signal.getsignal(number) == before
    assert "stopping after this step" in capfd.readouterr().err
    saved = last(tmp_path)
    assert saved["global_step"] == step
    assert torch.equal(saved["state_dict"]["weight"], module.weight)
    assert torch.equal(saved["state_dict"]["weight"], uncut.steps[step - 1])


def test_a_second_sigterm_exits_at_once(tmp_path, monkeypatch):
    class GoneError(BaseException):
        pass

    def gone(code):
        raise GoneError(code)

    monkeypatch.setattr(os, "_exit", gone)
    module = Numbers()
    with pytest.raises(GoneError, match="143"):
        fit(tmp_path, Terminate(2), Terminate(3), KeepLast(100), module=module, accumulate_grad_batches=4)
    assert not module.steps
    assert not (tmp_path / "checkpoints").exists()


def test_an_exception_saves_nothing_new_and_gives_the_signal_back(tmp_path):
    class Break(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 4:
                raise ZeroDivisionError

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError):
        fit(tmp_path, Break(), KeepLast(3))
    assert last(tmp_path)["global_step"] == 3
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_dry_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(tmp_path, KeepLast(1), fast_dev_run=True)
    assert not (tmp_path / "checkpoints").exists()


def test_never_is_refused():
    with pytest.raises(ConfigError, match="expected 1 or more"):
        KeepLast(0)
