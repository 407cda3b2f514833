import math
import pickle
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiff.data.loading.mixture import Layout, Stream, continued_offset, progress_for
from idiff.errors import ConfigError

SETS = st.lists(
    st.tuples(st.integers(1, 40), st.floats(0.05, 4.0, allow_nan=False)), min_size=1, max_size=4
)  # fmt: skip


def epoch_counts(stream, epoch):
    size = len(stream)
    return Counter(stream.locate(position) for position in range(epoch * size, (epoch + 1) * size))


@given(sets=SETS, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_every_epoch_has_the_same_shares_and_every_item_is_reached(sets, seed):
    lengths, weights = zip(*sets, strict=True)
    stream = Stream(lengths, weights, seed=seed)
    assert stream.draws == tuple(max(1, math.floor(n * w + 0.5)) for n, w in sets)
    assert len(stream) == sum(stream.draws)
    assert math.isclose(sum(stream.shares()), 1)
    epochs = max(-(-n // d) for n, d in zip(lengths, stream.draws, strict=True))
    total = Counter()
    for epoch in range(epochs):
        counts = epoch_counts(stream, epoch)
        for number, draws in enumerate(stream.draws):
            assert sum(times for (owner, _), times in counts.items() if owner == number) == draws
        total += counts
        for number, length in enumerate(lengths):
            times = [total[number, item] for item in range(length)]
            assert max(times) - min(times) <= 1
    assert set(total) == {(number, item) for number, length in enumerate(lengths) for item in range(length)}


def test_weights_below_one_leave_no_item_out():
    """Released mixtures that sample a share of a set once keep the rest unreachable for ever."""
    stream = Stream([1000, 50], [0.3, 1.0], seed=0)
    seen = {item for position in range(4 * len(stream)) for number, item in [stream.locate(position)] if number == 0}
    assert len(seen) == 1000


def test_weight_one_is_each_item_once_an_epoch_in_another_order():
    stream = Stream([30], [1.0], seed=0)
    first, second = ([stream.locate(p)[1] for p in range(e * 30, (e + 1) * 30)] for e in (0, 1))
    assert sorted(first) == sorted(second) == list(range(30))
    assert first != second


def test_sets_are_mixed_evenly_within_an_epoch():
    stream = Stream([600, 200], [1.0, 1.0], seed=4)
    quarters = [[stream.locate(p)[0] for p in range(i * 200, (i + 1) * 200)] for i in range(4)]
    assert all(30 <= sum(quarter) <= 70 for quarter in quarters)  # 50 expected


def test_a_position_is_a_pure_function():
    a, b = Stream([7, 5], [1, 2.5], seed=3), pickle.loads(pickle.dumps(Stream([7, 5], [1, 2.5], seed=3)))
    places = [123, 5, 99_999_999, 0]
    assert [a.locate(p) for p in places] == [b.locate(p) for p in reversed(places)][::-1]
    other = Stream([7, 5], [1, 2.5], seed=4)
    assert [a.locate(p) for p in range(40)] != [other.locate(p) for p in range(40)]


@given(length=st.integers(1, 20), position=st.integers(0, 500), attempt=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_a_substitute_is_another_item_of_the_same_set(length, position, attempt):
    stream = Stream([length, 9], [1.0, 1.0], seed=0)
    number, item = stream.locate(position)
    other = stream.substitute(position, attempt)
    assert other[0] == number
    assert other == stream.substitute(position, attempt)
    assert 0 <= other[1] < stream.lengths[number]
    assert other[1] != item or stream.lengths[number] == 1


@pytest.mark.parametrize(
    ("lengths", "weights", "word"),
    [
        ([], [], "one weight each"),
        ([3], [1, 2], "one weight each"),
        ([0], [1], "at least 1"),
        ([3], [0], "above 0"),
        ([3], [-1], "above 0"),
        ([3], [math.nan], "above 0"),
        ([3], [math.inf], "above 0"),
    ],
)
def test_impossible_mixtures_are_refused(lengths, weights, word):
    with pytest.raises(ConfigError, match=word):
        Stream(lengths, weights, seed=0)


@given(
    step=st.integers(0, 1000), world=st.integers(1, 5), accumulation=st.integers(1, 4), micro=st.integers(1, 6)
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_ranks_and_micro_batches_share_a_step_without_gap_or_repeat(step, world, accumulation, micro):
    layouts = [Layout(micro=micro, accumulation=accumulation, world=world, rank=rank) for rank in range(world)]
    size = layouts[0].global_batch
    rows = [row for layout in layouts for batch in layout.positions(step) for row in batch]
    assert sorted(rows) == list(range(step * size, (step + 1) * size))


def test_one_rank_with_accumulation_reads_what_two_ranks_read_together():
    """The k-th micro-batch of one process is what rank k of two reads: the same rows are summed in the same order."""
    one = Layout(micro=3, accumulation=2).positions(5)
    two = [Layout(micro=3, world=2, rank=rank).positions(5)[0] for rank in (0, 1)]
    assert one == two


@pytest.mark.parametrize(
    ("step", "expected"), [(0, (0, 0)), (3, (0, 6)), (4, (1, 0)), (9, (2, 2))]
)  # fmt: skip
def test_progress(step, expected):
    assert progress_for(step, steps_per_epoch=4, accumulation=2) == expected


SAVED = {"global_step": 10, "seed": 0, "fingerprint": "a", "global_batch": 8, "offset": 0}


def test_going_on_with_the_same_data_moves_nothing():
    assert continued_offset(SAVED, dict(SAVED, global_step=0), rebase=False) == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"seed": 1}, "seed 0 -> 1"),
        ({"fingerprint": "b"}, r"training data \(fingerprint\) a -> b"),
        ({"global_batch": 4}, "global batch 8 -> 4"),
    ],
)
def test_other_data_is_refused_with_what_differs(change, word):
    with pytest.raises(ConfigError, match=word):
        continued_offset(SAVED, SAVED | change, rebase=False)


@pytest.mark.parametrize("batch", [4, 8, 12, 5])
def test_rebase_goes_on_after_the_last_row_read(batch):
    offset = continued_offset(SAVED, SAVED | {"global_batch": batch}, rebase=True)
    assert offset + 10 * batch == 80
    again = continued_offset(
        {**SAVED, "global_batch": batch, "offset": offset, "global_step": 12}, SAVED | {"global_batch": 8}, rebase=True
    )
    assert again + 12 * 8 == 80 + 2 * batch


def test_rebase_does_not_allow_other_data():
    with pytest.raises(ConfigError, match="seed 0 -> 1"):
        continued_offset(SAVED, SAVED | {"seed": 1, "global_batch": 4}, rebase=True)
