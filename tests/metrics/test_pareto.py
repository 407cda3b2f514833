"""The front and the choice on it, against their definitions read out point by point."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiff.metrics.pareto import cheapest_within, pareto_front

POINTS = st.lists(st.tuples(st.integers(1, 6), st.one_of(st.integers(0, 6), st.just(math.nan))), max_size=12)
"""Few values, so that equal costs, equal scores and equal points all happen."""


def beats(one, other):
    return one != other and one[0] <= other[0] and one[1] >= other[1]


@given(points=POINTS)
def test_the_front_is_what_no_point_beats(points):
    costs, scores = [float(cost) for cost, _ in points], [float(score) for _, score in points]
    known = [point for point in points if not math.isnan(point[1])]
    expected = {point for point in known if not any(beats(other, point) for other in known)}
    front = pareto_front(costs, scores)
    assert {points[place] for place in front} == expected and len(front) == len(expected)
    assert all(place == points.index(points[place]) for place in front)
    assert [costs[place] for place in front] == sorted(costs[place] for place in front)


@given(points=POINTS, tolerance=st.sampled_from([0.0, 0.5, 1.0, 2.0, 10.0]))
def test_the_choice_is_the_cheapest_that_is_good_enough(points, tolerance):
    costs, scores = [float(cost) for cost, _ in points], [float(score) for _, score in points]
    known = [place for place in range(len(points)) if not math.isnan(scores[place])]
    chosen = cheapest_within(costs, scores, tolerance=tolerance)
    if not known:
        assert chosen is None
        return
    enough = [place for place in known if scores[place] >= max(scores[at] for at in known) - tolerance]
    cheap = [place for place in enough if costs[place] == min(costs[at] for at in enough)]
    assert chosen == max(cheap, key=lambda place: (scores[place], -place))


def test_a_drawn_case():
    costs, scores = [1, 3, 4, 12, 2], [0.50, 0.60, 0.599, 0.605, 0.40]
    assert pareto_front(costs, scores) == [0, 1, 3]
    assert cheapest_within(costs, scores, tolerance=0.01) == 1
    assert cheapest_within(costs, scores, tolerance=0.0) == 3
    assert cheapest_within(costs, scores, tolerance=0.2) == 0


@pytest.mark.parametrize("tolerance", [-0.1, math.nan, math.inf])
def test_tolerances_that_mean_nothing_are_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance"):
        cheapest_within([1.0], [1.0], tolerance=tolerance)


@pytest.mark.parametrize(("costs", "scores"), [([1.0, 2.0], [1.0]), ([], [1.0])])
def test_lists_of_two_lengths_are_refused(costs, scores):
    with pytest.raises(ValueError, match=f"{len(costs)} costs and 1 scores"):
        pareto_front(costs, scores)
