"""A training that ends before its last step says why in one line; one that comes to its end says nothing."""

from datetime import timedelta

import lightning.pytorch as pl
import pytest
from callback_fakes import fit
from lightning.pytorch.callbacks import EarlyStopping

from idiff.callbacks import KeepLast


class Stop(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step == 2


class Log(pl.Callback):
    def on_train_batch_end(self, trainer, pl_module, *_):
        pl_module.log("figure", 1.0)


def said(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("idiff: ")]


@pytest.mark.parametrize(
    ("callbacks", "settings", "line"),
    [
        ([], {"max_time": timedelta(microseconds=1)}, "step 1 of 50: the time of trainer.max_time is up"),
        ([Stop()], {}, "step 2 of 50: a callback asked for it"),
        ([], {"max_epochs": 1, "limit_train_batches": 3}, "step 3 of 50: trainer.max_epochs is 1"),
        ([], {"limit_train_batches": 0}, "step 0 of 50: there are no batches to train on"),
        (
            [Log(), EarlyStopping("figure", patience=1, check_on_train_epoch_end=True)],
            {"limit_train_batches": 3},
            "step 6 of 50: EarlyStopping on figure: Monitored metric figure did not improve",
        ),
    ],
    ids=["max-time", "callback", "max-epochs", "no-batches", "early-stopping"],
)
def test_an_early_end_says_why_in_one_line(tmp_path, capsys, callbacks, settings, line):
    fit(tmp_path, KeepLast(), *callbacks, steps=50, **settings)
    (got,) = said(capsys)
    assert got.startswith(f"idiff: training ends at {line}")


@pytest.mark.parametrize("settings", [{"steps": 3}, {"steps": -1, "max_epochs": 2, "limit_train_batches": 3}])
def test_a_training_that_comes_to_its_end_says_nothing(tmp_path, capsys, settings):
    fit(tmp_path, KeepLast(), **settings)
    assert said(capsys) == []
