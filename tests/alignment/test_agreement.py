import math
from collections import namedtuple

import pytest

from idiff.alignment.agreement import agreement, cohen_kappa, krippendorff_alpha

Chose = namedtuple("Chose", "chosen")


def test_cohen_by_hand():
    """The usual table: 20 both yes, 5 and 10 apart, 15 both no; 0.7 observed, 0.5 by chance."""
    one = [1] * 25 + [0] * 25
    other = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15
    assert cohen_kappa(one, other) == pytest.approx(0.4)
    assert cohen_kappa(other, one) == pytest.approx(0.4)
    assert cohen_kappa([1, 0, 1], [1, 0, 1]) == 1
    assert cohen_kappa([1, 0], [0, 1]) == pytest.approx(-1)


def test_cohen_is_not_defined_where_nothing_varies():
    assert math.isnan(cohen_kappa([], []))
    assert math.isnan(cohen_kappa([0, 0], [0, 0]))
    with pytest.raises(ValueError, match="2 and 1 values"):
        cohen_kappa([0, 1], [0])


def test_krippendorff_by_hand_two_annotators():
    """Binary data of two observers, Krippendorff (2011), section A: 0.095."""
    one = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    other = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha([one, other]) == pytest.approx(1 - 19 * 8 / (2 * 14 * 6))
    assert krippendorff_alpha([one, other]) == pytest.approx(0.095, abs=5e-4)


def test_krippendorff_with_missing_values():
    """Nominal data of four observers with gaps, Krippendorff (2011), section C: 0.743."""
    gap = None
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    assert krippendorff_alpha(ratings) == pytest.approx(0.743, abs=5e-4)


def test_krippendorff_is_not_defined_where_nothing_varies():
    assert math.isnan(krippendorff_alpha([[1, None], [None, 0]]))
    assert math.isnan(krippendorff_alpha([[1, 1], [1, 1]]))
    assert krippendorff_alpha([[0, 1], [0, 1]]) == 1
    with pytest.raises(ValueError, match=r"rows of \[1, 2\] entries"):
        krippendorff_alpha([[1], [1, 2]])


def test_figures_of_two_annotators():
    anna = {"0": Chose((1, 2)), "1": Chose(()), "2": Chose((0,)), "9": Chose((0,))}
    bert = {"0": Chose((1,)), "1": Chose(()), "2": Chose((3,))}
    found = agreement({"bert": bert, "anna": anna}, dict.fromkeys("012", 4))
    assert found["annotators"] == {
        "anna": {"decided": 3, "none_good": 1, "chosen": 3},
        "bert": {"decided": 3, "none_good": 1, "chosen": 2},
    }
    assert (found["samples"], found["shared"], found["same_best"]) == (3, 3, pytest.approx(2 / 3))
    # 12 candidates: one chosen by both, two by anna alone, one by bert alone
    observed, expected = 9 / 12, (3 * 2 + 9 * 10) / 144
    assert found["cohen_kappa"] == pytest.approx((observed - expected) / (1 - expected))
    assert found["krippendorff_alpha"] == pytest.approx(1 - 23 * 6 / (2 * 5 * 19))


def test_figures_of_one_and_of_three_annotators():
    one = agreement({"anna": {"0": Chose((1,))}}, {"0": 4, "1": 4})
    assert (one["shared"], one["same_best"], one["cohen_kappa"], one["krippendorff_alpha"]) == (0, None, None, None)
    three = agreement(
        {"a": {"0": Chose((1,)), "1": Chose((0,))}, "b": {"0": Chose((1,))}, "c": {"0": Chose((1, 0))}},
        {"0": 2, "1": 2},
    )
    assert (three["samples"], three["shared"], three["same_best"], three["cohen_kappa"]) == (2, 1, 1.0, None)
    # sample 0: candidate 0 is 0 0 1, candidate 1 is 1 1 1; sample 1 has one annotator
    assert three["krippendorff_alpha"] == pytest.approx(1 - 5 * 2 / (2 * 2 * 4))
