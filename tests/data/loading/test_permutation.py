import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.data.loading.permutation import bijection


@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 10**6), n=st.integers(1, 3000))
@settings(max_examples=60, deadline=None)
def test_every_item_comes_exactly_once(seed, epoch, n):
    order = bijection(seed, epoch, n)
    assert sorted(order(i) for i in range(n)) == list(range(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 255, 256, 257])
def test_exact_at_the_edges_of_the_rectangle(n):
    order = bijection(1, 2, n)
    assert {order(i) for i in range(n)} == set(range(n))


@pytest.mark.parametrize(("first", "second"), [((0, 0), (0, 1)), ((0, 0), (1, 0)), ((1, 0), (0, 1))])
def test_seed_and_epoch_change_the_order(first, second):
    n = 1000
    a, b = bijection(*first, n), bijection(*second, n)
    same = sum(a(i) == b(i) for i in range(n))
    assert same < 12  # two random orders agree in about one place


def test_order_is_a_fixed_function():
    # runs are continued by position: another order would be another checkpoint format
    assert [bijection(0, 0, 10)(i) for i in range(10)] == [9, 4, 2, 7, 3, 5, 1, 8, 6, 0]


@pytest.mark.parametrize("n", [6, 24])
def test_each_place_is_equally_likely(n):
    epochs = 2000
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        order = bijection(5, epoch, n)
        for i in range(n):
            counts[i, order(i)] += 1
    expected = epochs / n
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    freedom = (n - 1) ** 2
    assert abs(chi_squared - freedom) < 6 * np.sqrt(2 * freedom)


def test_neighbours_are_spread():
    """A shuffle has no memory of the old order: the rank correlation of place and item is near 0."""
    n = 20_000
    order = bijection(3, 0, n)
    items = np.array([order(i) for i in range(n)])
    assert abs(np.corrcoef(np.arange(n), items)[0, 1]) < 0.03
    assert abs(np.corrcoef(items[1:], items[:-1])[0, 1]) < 0.03


def test_fast_and_flat_at_a_hundred_million():
    n = 10**8
    bijection(0, 0, n)
    begin = time.perf_counter()
    for epoch in range(10):
        order = bijection(0, epoch, n)
        assert len({order(i) for i in range(12_345_678, 12_345_710)}) == 32
    assert (time.perf_counter() - begin) / 10 < 0.01


@pytest.mark.parametrize("index", [-1, 5])
def test_outside_is_refused(index):
    with pytest.raises(IndexError, match="outside"):
        bijection(0, 0, 5)(index)


def test_nothing_cannot_be_ordered():
    with pytest.raises(ValueError, match="at least 1"):
        bijection(0, 0, 0)
