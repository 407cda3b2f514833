"""A headline that is an error: what it adds to the score, and that the better answer wins wherever answers are compared."""

import math

import pytest
from contract import PROMISES

from idiff.alignment.auto import _names
from idiff.evaluation.tuning import Point, choose
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
