"""A headline that is an error: what it adds to the score, and that the better answer wins wherever answers are compared."""

import math
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
from contract import PROMISES

from idiff.alignment.auto import _names
from idiff.callbacks.evaluate import Evaluate
from idiff.callbacks.scoring import Score
from idiff.evaluation.measured_points import Point
from idiff.evaluation.tuning import choose
from idiff.tasks import InstructEditing, Task
from idiff.types import Sampling


class Ratio(InstructEditing):
    """Edits judged by an error: 0 is perfect, 1 is what doing nothing gets."""

    headline, headline_range, headline_lower_is_better = "mse_ratio", 2.0, True


@pytest.mark.parametrize(("value", "share"), [(0.0, 1.0), (0.5, 0.75), (2.0, 0.0), (7.0, 0.0), (-1.0, 1.0)])
def test_an_error_adds_more_the_smaller_it_is(value, share):
    assert Ratio.headline_share(value) == share


def test_what_is_unknown_stays_unknown_and_larger_is_better_by_default():
    assert math.isnan(Ratio.headline_share(math.nan)) and math.isnan(InstructEditing.headline_share(math.nan))
    assert not Task.headline_lower_is_better
    assert InstructEditing.headline_share(25.0) == 0.5 and InstructEditing.headline_share(60.0) == 1.2


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_task_with_an_error_for_its_headline_keeps_the_promises(promise):
    promise(Ratio())


def test_the_flag_must_agree_with_the_metric():
    class Wrong(Ratio):
        headline_lower_is_better = False

    with pytest.raises(AssertionError):
        PROMISES[0](Wrong())


def test_picks_turn_an_error_about():
    assert _names(Ratio()) == {"psnr_inside": 1.0, "psnr_outside": 1.0, "mse_ratio": -1.0}


@pytest.mark.parametrize(("errors", "chosen"), [([0.4, 0.1, 0.1], 1), ([0.1, 0.4, 0.05], 0), ([math.nan, 0.9, 0.2], 2)])
def test_tuning_takes_the_cheapest_of_the_small_errors(errors, chosen):
    points = [
        Point(Sampling(steps=cost), {"mse_ratio": error}, cost, 0.1, samples=1, queries=1, device="cpu")
        for cost, error in zip((1, 2, 4), errors, strict=True)
    ]
    assert choose(points, "mse_ratio", tolerance=0.06, lower_is_better=True) == chosen


def test_the_mean_score_of_tasks_grows_as_an_error_falls(tmp_path):
    def val_score(error):
        evaluate, logged = Evaluate(table=False), {}
        for name, task, value in (("edits", Ratio(), error), ("more", InstructEditing(), 20.0)):
            score = Score({task.headline: value})
            evaluate._spent[name] = (4, 4)
            evaluate._scorers[name] = SimpleNamespace(task=task, compute=lambda score=score: score, baselines=False)
        module = SimpleNamespace(log=lambda key, value, **_: logged.update({key: value}))
        evaluate.on_validation_epoch_end(pl.Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu"), module)
        assert logged["val/edits/mse_ratio"] == error
        return logged["val/score"]

    assert [val_score(error) for error in (0.0, 1.0, 5.0)] == pytest.approx([(1 + 0.4) / 2, (0.5 + 0.4) / 2, 0.4 / 2])
