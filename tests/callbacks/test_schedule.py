"""A fit is validated where it ends, whatever its schedule, and once."""

import lightning.pytorch as pl
import pytest
from callback_fakes import fit

from idiff.callbacks import Evaluate

QUIET = {"num_sanity_val_steps": 0, "limit_val_batches": 1}


class Steps(pl.Callback):
    """Steps at which the model was validated."""

    def __init__(self):
        self.steps = []

    def on_validation_end(self, trainer, pl_module):
        self.steps.append(trainer.global_step)


class Stop(pl.Callback):
    """Asks for the end after a step, as early stopping does."""

    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = trainer.global_step >= 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"steps": 5, "val_check_interval": 100, "check_val_every_n_epoch": None}, [5]),
        ({"steps": 5, "val_check_interval": 3}, [3, 5]),
        ({"steps": 6, "val_check_interval": 3}, [3, 6]),
        ({"steps": 5, "val_check_interval": 6, "accumulate_grad_batches": 2, "check_val_every_n_epoch": None}, [3, 5]),
        ({"steps": -1, "max_epochs": 3, "val_check_interval": 1.0, "check_val_every_n_epoch": 2}, [24, 36]),
        ({"steps": -1, "max_epochs": 2, "val_check_interval": 8, "check_val_every_n_epoch": None}, [8, 16, 24]),
        ({"steps": 9, "val_check_interval": 100, "check_val_every_n_epoch": None, "limit_val_batches": 0}, []),
    ],
    ids=["never-due", "not-due-at-the-end", "due-at-the-end", "accumulated", "epochs", "due-with-the-epoch", "no-validation"],
)  # fmt: skip
def test_a_fit_is_validated_at_its_end_once(tmp_path, options, expected):
    seen = Steps()
    fit(tmp_path, Evaluate(), seen, **(QUIET | options))
    assert seen.steps == expected


def test_an_early_end_is_validated_too(tmp_path):
    seen = Steps()
    fit(tmp_path, Evaluate(), Stop(), seen, val_check_interval=100, check_val_every_n_epoch=None, steps=9)
    assert seen.steps == [4]


def test_it_can_be_turned_off(tmp_path):
    seen = Steps()
    fit(tmp_path, Evaluate(at_end=False), seen, val_check_interval=3, steps=5)
    assert seen.steps == [3]
