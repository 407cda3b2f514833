from collections import namedtuple

import numpy as np
import pytest
import torch
from candidate_making import SHARES

from idiff.alignment.build import Pick, PickedEdits, picks_of, winners
from idiff.data.build.builder import build
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import Example
from idiff.data.shards.check import check
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks import InstructEditing
from idiff.types import Sample
from idiff.utils.images import to_picture, to_tensor

Chose = namedtuple("Chose", "chosen")
ANNA = {"000000": Chose((1, 3)), "000001": Chose(()), "000002": Chose((0,)), "000003": Chose((2,))}
BERT = {"000000": Chose((1,)), "000001": Chose(()), "000002": Chose((3,))}
BOTH = {"anna": ANNA, "bert": BERT}
COUNTS = {f"{number:06d}": 4 for number in range(5)}


def pairs(picks):
    return [(pick.sample, pick.chosen) for pick in picks]


def test_union_takes_what_anybody_chose_and_majority_what_more_than_half_did():
    assert pairs(picks_of(BOTH, COUNTS)) == [
        ("000000", 1), ("000000", 3), ("000002", 0), ("000002", 3), ("000003", 2),
    ]  # fmt: skip
    assert pairs(picks_of(BOTH, COUNTS, rule="majority")) == [("000000", 1), ("000003", 2)]
    assert pairs(picks_of({"anna": ANNA}, COUNTS, rule="majority")) == pairs(picks_of({"anna": ANNA}, COUNTS))
    votes = {(pick.sample, pick.chosen): (pick.votes, pick.voters) for pick in picks_of(BOTH, COUNTS)}
    assert votes["000000", 1] == (2, 2) and votes["000000", 3] == (1, 2) and votes["000003", 2] == (1, 1)


def test_winners_come_by_votes_then_by_first_places():
    choices = [Chose((2, 1)), Chose((1, 0)), Chose((1, 2))]
    assert winners(choices, rule="union") == [1, 2, 0]
    assert winners(choices, rule="majority") == [1, 2]
    assert winners([Chose(())], rule="union") == []
    with pytest.raises(ConfigError, match="unknown rule 'majorty'; did you mean 'majority'"):
        winners(choices, rule="majorty")


def test_a_loser_is_one_that_nobody_chose():
    one = {(pick.sample, pick.chosen): pick.rejected for pick in picks_of(BOTH, COUNTS)}
    assert one["000000", 1] in {0, 2} and one["000002", 0] in {1, 2}
    assert one == {(pick.sample, pick.chosen): pick.rejected for pick in picks_of(dict(reversed(BOTH.items())), COUNTS)}
    every = picks_of(BOTH, COUNTS, pairs="all")
    assert [pick.rejected for pick in every if (pick.sample, pick.chosen) == ("000000", 1)] == [0, 2]
    assert [pick.rejected for pick in every if pick.sample == "000003"] == [0, 1, 3]
    assert [pick.rejected for pick in picks_of({"a": {"0": Chose((0, 1))}}, {"0": 2})] == [None, None]
    with pytest.raises(ConfigError, match="unknown way to pair 'both'"):
        picks_of(BOTH, COUNTS, pairs="both")


def test_picks_of_another_folder_are_refused():
    with pytest.raises(DataError, match="sample 000000: candidate 3 was chosen of 2: the picks are of another folder"):
        picks_of(BOTH, {"000000": 2})


def test_the_shards_are_sound_and_hold_what_was_chosen(folder, scenes, tmp_path):
    picks = picks_of(BOTH, COUNTS)
    source = PickedEdits(folder, picks, stages={"samples": 5, "decided": 4})
    report = build(source, tmp_path / "out", name="align", split="train")
    assert list(check(tmp_path / "out")) == []
    assert report.manifest.tasks == ["editing"] and report.manifest.samples == 5
    assert list(report.manifest.funnel.items()) == [("samples", 5), ("decided", 4), ("pairs", 5), ("usable", 5)]
    shards, scene = ShardSet.open(tmp_path / "out", verify=True), ShardSet.open(scenes).read(0)
    sample = shards.read(0)
    blend = {share: scene.image + share * (scene.target.astype(float) - scene.image) for share in SHARES}
    assert np.array_equal(sample.image, scene.image)
    assert np.array_equal(sample.target, np.rint(blend[SHARES[1]]).clip(0, 255))
    assert np.array_equal(sample.rejected, np.rint(blend[SHARES[picks[0].rejected]]).clip(0, 255))
    assert sample.annotation["instruction"] == scene.annotation["instruction"]
    assert sample.annotation["picked"] == {
        "key": scene.key, "sample": "000000", "candidate": 1, "rejected": picks[0].rejected, "guidance_text": SHARES[1],
        "guidance_image": 1.0, "votes": 2, "voters": 2,
    }  # fmt: skip


def test_a_damaged_candidate_is_left_out_and_named(folder, tmp_path):
    file = folder.path / "samples" / "000000" / "candidate_01.png"
    file.write_bytes(file.read_bytes() + b"x")
    source = PickedEdits(folder, picks_of(BOTH, COUNTS), stages={})
    with pytest.raises(
        BadSampleError, match=r"000000: candidates: .*candidate_01.png is not the image that was written"
    ):
        source.sample(0)
    report = build(source, tmp_path / "out", name="align", split="train")
    assert (report.rejected, report.manifest.samples) == (1, 4)
    assert "candidate_01" in (tmp_path / "out" / "rejected.jsonl").read_text()
    assert list(check(tmp_path / "out")) == []


def test_nothing_chosen_is_one_sentence(folder):
    with pytest.raises(DataError, match="no candidate was chosen, so there is nothing to build"):
        PickedEdits(folder, [], stages={})


def test_winners_without_losers_make_samples_without_a_rejected_picture(folder, tmp_path):
    source = PickedEdits(folder, [Pick("000000", 1, None, 1, 1), Pick("000001", 1, 0, 1, 1)], stages={})
    build(source, tmp_path / "out", name="align", split="train")
    shards = ShardSet.open(tmp_path / "out")
    assert shards.read(0).rejected is None and shards.read(1).rejected is not None
    task, rng = InstructEditing(), np.random.default_rng(0)
    found = [Example(task.encode(shards.read(place), 0, rng, train=True), place, "t", []) for place in (0, 1)]
    assert collate_examples(found).rejected is None
    assert collate_examples(found[1:]).rejected.shape == (1, 3, 64, 64)


def test_a_picture_of_the_models_size_goes_through_editing_pixel_by_pixel(folder, tmp_path):
    build(PickedEdits(folder, picks_of(BOTH, COUNTS), stages={}), tmp_path / "out", name="align", split="train")
    shards = ShardSet.open(tmp_path / "out")
    for train in (True, False):
        for place in range(len(shards)):
            sample = shards.read(place)
            triplet = InstructEditing(size=64).encode(sample, 0, np.random.default_rng(place), train=train)
            for tensor, picture in (
                (triplet.source, sample.image), (triplet.target, sample.target), (triplet.rejected, sample.rejected),
            ):  # fmt: skip
                assert torch.equal(tensor, to_tensor(picture))
                assert np.array_equal(to_picture(tensor), picture)


def test_the_rejected_picture_takes_the_targets_way(folder):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 90, 3), np.uint8)
    sample = Sample("k", picture, {"instruction": "do it"}, target=picture[::-1].copy(), rejected=picture[::-1].copy())
    triplet = InstructEditing(size=64).encode(sample, 0, rng, train=True)
    assert torch.equal(triplet.target, triplet.rejected)
    sample.rejected = picture[:20]
    with pytest.raises(BadSampleError, match=r"rejected: got uint8 \(20, 90, 3\), expected uint8 \(50, 90, 3\)"):
        InstructEditing(size=64).encode(sample, 0, rng, train=True)


def test_batches_move_the_rejected_pictures():
    task, rng = InstructEditing(), np.random.default_rng(0)
    sample = task.example(rng)
    sample.rejected = sample.image
    batch = collate_examples([Example(task.encode(sample, 0, rng, train=True), 0, "t", [])])
    moved = batch.to("cpu")
    assert torch.equal(moved.rejected, batch.source)
