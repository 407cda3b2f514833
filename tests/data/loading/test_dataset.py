import itertools
import pickle
from dataclasses import replace

import pytest
import torch
from stream_fakes import SETS, CountingTask, MemoryShards, part

from idiff.data.loading.collate import collate_examples, collate_groups
from idiff.data.loading.dataset import EvaluationDataset, Example, Group, Part, PositionSampler, StreamDataset
from idiff.data.loading.loaders import evaluation_loader, training_loader
from idiff.data.loading.mixture import Layout, Stream
from idiff.errors import DataError
from idiff.types import Sample, Sampling

# --- rows


def test_a_row_depends_on_its_position_alone():
    sets = [part("train", unit="instances"), part("other")]
    rows = StreamDataset(sets, Stream([46, 10], [1, 2], seed=1), seed=1)
    again = pickle.loads(pickle.dumps(rows))
    for position in (0, 3, 1000, 7):
        row, other = rows[position], again[position]
        assert isinstance(row, Example)
        assert (row.position, row.task, row.triplet.key) == (position, other.task, other.triplet.key)
        assert torch.equal(row.triplet.source, other.triplet.source)
        number, item = rows.stream.locate(position)
        assert row.task == sets[number].name
        expected = f"train-{item // 2:05d}/{item % 2}" if number == 0 else f"other-{item:05d}/0"
        assert row.triplet.key == expected


def test_an_item_is_augmented_differently_each_epoch():
    rows = StreamDataset([part("other")], Stream([10], [1], seed=0), seed=0)
    drawn = [float(rows[position].triplet.source[0, 0, 0]) for position in range(30)]
    assert len(set(drawn)) == 30


def test_bad_samples_are_named_and_replaced():
    rows = StreamDataset([part("worse")], Stream([40], [1], seed=0), seed=0, max_bad_fraction=0.5)
    first, second = ([rows[position] for position in range(40)] for _ in range(2))
    assert [row.triplet.key for row in first] == [row.triplet.key for row in second]
    bad = [row for row in first if row.bad]
    assert len(bad) == 8
    assert all(
        name.startswith("worse.tar:worse-000") and "source: corrupt JPEG" in name for row in bad for name in row.bad
    )
    assert not any(int(row.triplet.key[6:11]) % 5 == 0 for row in first)


def test_too_many_bad_samples_end_the_run():
    rows = StreamDataset([part("worse")], Stream([40], [1], seed=0), seed=0, max_bad_fraction=0.05)
    with pytest.raises(
        DataError, match=r"10 of \d+ samples read were bad, more than max_bad_fraction=0.05 .*worse.tar"
    ):
        for position in range(200):
            rows[position]


def test_one_bad_sample_of_many_reads_does_not_end_the_run():
    shards = MemoryShards("rare", 2000, broken=[3])
    rows = StreamDataset([Part("rare", CountingTask(), shards)], Stream([2000], [1], seed=0), seed=0)
    assert sum(len(rows[position].bad) for position in range(4000)) == 2


def test_a_set_without_a_usable_sample_says_so():
    shards = MemoryShards("dead", 3, broken=range(3))
    rows = StreamDataset([Part("dead", CountingTask(), shards)], Stream([3], [1], seed=0), seed=0)
    with pytest.raises(DataError, match="dead: 8 samples in a row were bad"):
        rows[0]


# --- batches


def test_collate_keeps_everything_in_order():
    rows = StreamDataset([part("worse")], Stream([40], [1], seed=0), seed=0, max_bad_fraction=0.5)
    batch = collate_examples([rows[position] for position in range(20)])
    assert batch.position.dtype == torch.int64
    assert batch.position.tolist() == list(range(20))
    assert batch.source.shape == batch.target.shape == (20, 3, 2, 2)
    assert batch.answer.shape == (20, 1, 2, 2)
    assert batch.task == ["worse"] * 20
    assert [int(key[6:11]) for key in batch.keys] == batch.target[:, 0, 0, 0].int().tolist()
    assert batch.bad == [name for position in range(20) for name in rows[position].bad] != []


def grid_rows(*tasks):
    sets = [Part(f"t{number}", task, SETS["other"]) for number, task in enumerate(tasks)]
    rows = StreamDataset(sets, Stream([10] * len(sets), [1] * len(sets), seed=0), seed=0)
    return [rows[position] for position in range(10 * len(sets))]


def test_answers_are_padded_to_the_most_channels_and_left_out_where_a_row_has_none():
    rows = grid_rows(CountingTask(channels=1), CountingTask(channels=5))
    for number, row in enumerate(rows):
        row.triplet.answer = torch.full_like(row.triplet.answer, 1 + number)
    mixed = collate_examples(rows).answer
    assert mixed.shape == (20, 5, 2, 2)
    for number, row in enumerate(rows):
        count = len(row.triplet.answer)
        assert (mixed[number, :count] == 1 + number).all() and not mixed[number, count:].any()
    assert {len(row.triplet.answer) for row in rows} == {1, 5}
    assert collate_examples(grid_rows(CountingTask(channels=1), CountingTask(channels=0))).answer is None


def test_text_to_image_has_no_source_and_does_not_mix():
    assert collate_examples(grid_rows(CountingTask(source=False))).source is None
    with pytest.raises(DataError, match="10 of 20 examples of a batch have a source"):
        collate_examples(grid_rows(CountingTask(source=False), CountingTask()))


def test_pictures_of_other_sizes_are_refused_by_task():
    with pytest.raises(DataError, match=r"t0: source \(3, 2, 2\).*t1: source \(3, 4, 4\)|t1.*t0"):
        collate_examples(grid_rows(CountingTask(size=2), CountingTask(size=4)))


# --- evaluation


@pytest.mark.parametrize(("samples", "expected"), [(None, list(range(9))), (3, [0, 3, 6]), (100, list(range(9)))])
def test_evaluation_items_are_spread_evenly(samples, expected):
    assert EvaluationDataset(part("val"), samples=samples).items == expected


@pytest.mark.parametrize("world", [1, 2, 4, 16])
def test_ranks_share_the_evaluation_items_without_padding(world):
    shares = [EvaluationDataset(part("val"), rank=rank, world=world).items for rank in range(world)]
    assert sorted(itertools.chain(*shares)) == list(range(9))


def test_evaluation_batches_hold_whole_groups_and_their_sampling():
    sampling = Sampling(steps=7)
    rows = EvaluationDataset(part("val", prompts=3))
    batches = list(evaluation_loader(rows, groups=4, sampling=sampling, workers=0))
    assert [len(batch) for batch in batches] == [12, 12, 3]
    assert all(batch.sampling is sampling and set(batch.task) == {"val"} for batch in batches)
    assert batches[0].keys == [f"val-{item:05d}/0" for item in range(4) for _ in range(3)]


def test_evaluation_batches_know_which_prompts_share_an_image_and_an_item():
    def triplet(key, value):
        return replace(CountingTask().encode(Sample(key, None, {"number": 0}), 0, None, train=False), source=value)

    one, other = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    groups = [
        Group([triplet("a", one), triplet("a", one)], []),
        Group([], ["bad"]),
        Group([triplet("b", one.clone())], []),  # another item of the same image
        Group([triplet("c", other), triplet("c", other.clone())], []),
        Group([triplet("d", one)], []),
    ]
    batch = collate_groups(groups, task="t", sampling=Sampling())
    assert batch.group_sizes == [2, 1, 2, 1]
    assert batch.image_index.dtype == torch.int64
    assert batch.image_index.tolist() == [0, 0, 0, 1, 1, 2]
    text = collate_groups([Group([triplet("a", None)], [])], task="t", sampling=Sampling())
    assert text.image_index is None and text.group_sizes == [1]


def test_noise_of_evaluation_depends_on_the_key_alone():
    whole = {}
    for groups, world in ((4, 1), (2, 2)):
        positions = {}
        for rank in range(world):
            rows = EvaluationDataset(part("val"), rank=rank, world=world)
            for batch in evaluation_loader(rows, groups=groups, sampling=Sampling(), workers=0):
                positions |= dict(zip(batch.keys, batch.position.tolist(), strict=True))
        whole[groups] = positions
    assert whole[4] == whole[2]
    assert len(set(whole[4].values())) == 9


def test_bad_evaluation_samples_are_named_and_left_out():
    rows = EvaluationDataset(part("worse"), samples=None, max_bad_fraction=0.5)
    batch = collate_groups([rows[index] for index in range(12)], task="worse", sampling=Sampling())
    assert len(batch) == 9
    assert [name.split(":")[1] for name in batch.bad] == [f"worse-{index:05d}" for index in (0, 5, 10)]
    with pytest.raises(DataError, match="none of the 1 items"):
        collate_groups([rows[0]], task="worse", sampling=Sampling())


# --- the sampler


def test_the_sampler_is_a_full_epoch_long_wherever_it_begins():
    for step in (0, 3, 12):
        sampler = PositionSampler(lambda step=step: step, steps=5, layout=Layout(micro=2, accumulation=3), offset=100)
        batches = list(sampler)
        assert len(sampler) == len(batches) == 15
        assert [row for batch in batches for row in batch] == list(range(100 + step * 6, 100 + (step + 5) * 6))


# --- loaders


def test_a_loader_leaves_the_global_random_state_alone():
    rows = StreamDataset([part("other")], Stream([10], [1], seed=0), seed=0)
    state = torch.get_rng_state()
    sampler = PositionSampler(lambda: 0, steps=2, layout=Layout(micro=3))
    list(training_loader(rows, sampler, collate=collate_examples, workers=0))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("evaluation", [False, True])
def test_what_a_loader_sends_to_workers_can_be_pickled(evaluation):
    """Spawned workers and those of a fork server get a pickled copy of these three."""
    if evaluation:
        loader = evaluation_loader(EvaluationDataset(part("val")), groups=2, sampling=Sampling(), workers=1)
        indices = [0, 1]
    else:
        rows = StreamDataset([part("other")], Stream([10], [1], seed=0), seed=0)
        order = PositionSampler(lambda: 0, steps=2, layout=Layout(micro=3))
        loader = training_loader(rows, order, collate=collate_examples, workers=1)
        indices = [5, 6, 1000]
    dataset, collate, start = pickle.loads(pickle.dumps((loader.dataset, loader.collate_fn, loader.worker_init_fn)))
    start(0)
    batch, other = collate([dataset[i] for i in indices]), loader.collate_fn([loader.dataset[i] for i in indices])
    assert batch.keys == other.keys
    assert torch.equal(batch.source, other.source)
