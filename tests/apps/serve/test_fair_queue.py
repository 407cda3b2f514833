"""Clients take turns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiff.apps.serve.fair_queue import FairQueue


def test_a_client_that_asks_much_does_not_keep_others_waiting():
    queue = FairQueue()
    for item in range(5):
        queue.put("greedy", f"g{item}")
    queue.put("small", "s0")
    queue.put("other", "o0")
    assert list(queue) == ["g0", "s0", "o0", "g1", "g2", "g3", "g4"]
    assert (len(queue), queue.count("greedy"), queue.count("nobody")) == (7, 5, 0)
    assert queue.remove("greedy", "g1") and not queue.remove("greedy", "g1") and not queue.remove("nobody", "g2")
    assert [queue.take() for _ in range(6)] == ["g0", "s0", "o0", "g2", "g3", "g4"]
    with pytest.raises(IndexError):
        queue.take()


@given(st.lists(st.one_of(st.sampled_from("abc"), st.none()), max_size=40))
def test_what_waits_is_taken_in_the_order_that_was_told(steps):
    queue, number = FairQueue(), 0
    for step in steps:
        if step is not None:
            queue.put(step, (step, number))
            number += 1
        elif len(queue):
            first = next(iter(queue))
            assert queue.take() == first
    told = list(queue)
    taken = [queue.take() for _ in range(len(queue))]
    assert told == taken
    for client in "abc":  # first come, first served within a client
        assert sorted(taken_of := [n for c, n in taken if c == client]) == taken_of
