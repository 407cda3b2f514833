"""The page of a run never costs a training, and the time that is left is that of training and of the validations to come."""

import json
import time
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
from callback_fakes import Numbers, fit

from idiff.callbacks import Evaluate, ProgressLines, RunReport
from idiff.callbacks.pace import Pace, total_steps, validations_left
from idiff.reporting import page
from idiff.reporting.results import read_figures


class Losing(Numbers):
    """Logs its losses, as a stage without scores does."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        super().validation_step(batch, batch_idx)
        self.log("val/loss", self.weight.sum(), batch_size=1)


def test_a_run_without_scores_has_its_losses_from_step_0_on(tmp_path):
    fit(tmp_path, Evaluate(), RunReport(), module=Losing(), steps=5, num_sanity_val_steps=-1, log_every_n_steps=2)
    figures = read_figures(tmp_path)
    assert [step for step, _ in figures["val/loss"]] == [0, 3, 5]
    assert [step for step, _ in figures["train/loss"]] == [2, 4]
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["progress"]["state"] == "finished"
    assert (record["progress"]["step"], record["progress"]["total"]) == (5, 5)
    assert record["environment"]["precision"] == "32-true"
    shown = (tmp_path / "report.html").read_text()
    assert "val/loss" in shown and "step 5 of 5" in shown


class Cut(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 4:
            raise ValueError("<cut>")


def test_a_run_that_is_cut_says_so(tmp_path):
    with pytest.raises(ValueError, match="cut"):
        fit(tmp_path, Evaluate(), Cut(), RunReport(), module=Losing())
    assert json.loads((tmp_path / "run.json").read_text())["progress"]["state"] == "stopped: <cut>"
    assert "stopped: &lt;cut&gt;" in (tmp_path / "report.html").read_text()


def test_a_page_that_cannot_be_written_is_said_once_and_costs_nothing(tmp_path, monkeypatch, caplog):
    def fail(*_, **__):
        raise RuntimeError("no template")

    monkeypatch.setattr(page, "render", fail)
    _, trainer = fit(tmp_path, Evaluate(), RunReport(), module=Losing(), steps=6)
    assert trainer.global_step == 6
    assert [record.message for record in caplog.records if "report.html" in record.message] == [
        "report.html was not written (RuntimeError: no template). Training goes on."
    ]


def test_it_can_be_left_out(tmp_path):
    fit(tmp_path, Evaluate(), RunReport(write=False), module=Losing())
    assert not list(tmp_path.glob("r*.*"))


def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def trainer(step, *, interval=10, steps=30, epochs=-1, batches=50, accumulate=1, every=None):
    return SimpleNamespace(
        global_step=step, max_steps=steps, max_epochs=epochs, num_training_batches=batches, val_check_batch=interval,
        accumulate_grad_batches=accumulate, check_val_every_n_epoch=every, enable_validation=True, is_global_zero=True,
        sanity_checking=False, callback_metrics={},
    )  # fmt: skip


def test_what_is_left_does_not_take_validations_for_training(monkeypatch):
    now, pace = clock(monkeypatch), Pace()
    pace.begin(0)
    now[0] += 10  # ten steps of a second
    pace.pause()
    now[0] += 100
    pace.resume()
    assert pace.seconds_a_step(10) == 1.0
    assert pace.seconds_left(trainer(10)) == 20 * 1.0 + 2 * 100  # two more validations: at 20 and at 30
    assert pace.seconds_left(trainer(10, steps=-1)) is None


def test_lines_say_it(monkeypatch, capsys):
    now, lines = clock(monkeypatch), ProgressLines(every_seconds=0)
    lines.on_train_start(trainer(0), None)
    now[0] += 20
    lines.on_validation_start(trainer(10), None)
    now[0] += 600
    lines.on_validation_end(trainer(10), None)
    lines.on_train_batch_end(trainer(10), None)
    assert capsys.readouterr().out.strip() == "step 10 of 30, 2.00 s a step, 20.7 min left"


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"step": 0}, 3),
        ({"step": 29}, 1),
        ({"step": 30}, 0),
        ({"step": 0, "steps": 35}, 4),  # 10, 20, 30 and the end
        ({"step": 0, "interval": 100}, 1),
        ({"step": 0, "interval": 20, "accumulate": 2}, 3),
        ({"step": 0, "steps": -1, "epochs": 4, "interval": 50, "every": 2}, 2),
        ({"step": 0, "steps": -1, "epochs": 5, "interval": 50, "every": 2}, 3),
        ({"step": 0, "interval": float("inf")}, 1),
    ],
)
def test_validations_that_are_to_come(settings, left):
    fake = trainer(settings.pop("step"), **settings)
    assert validations_left(fake, total_steps(fake)) == left
