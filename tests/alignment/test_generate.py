import numpy as np
import pytest
import torch
from candidate_making import build_scenes

from idiff.alignment.candidates import CandidateFolder
from idiff.alignment.generate import caption_of, generate, one_prompt, plan
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, DataError
from idiff.evaluation.guidance_settings import guidance_grid, spread
from idiff.tasks import InstructEditing, KeypointDetection, SemanticSegmentation
from idiff.tasks.referring import ReferringSegmentation
from idiff.types import Sampling
from idiff.utils.images import to_picture
from idiff.utils.picture_files import decode_picture

SETTINGS = spread(guidance_grid(Sampling(steps=1), rule="instructdiffusion"), 4)


@pytest.fixture(scope="session")
def phrases(tmp_path_factory):
    return ShardSet.open(build_scenes(tmp_path_factory.mktemp("phrases") / "set", task="referring", count=6))


@pytest.fixture(scope="session")
def classes(tmp_path_factory):
    return ShardSet.open(build_scenes(tmp_path_factory.mktemp("classes") / "set", task="segmentation", count=6))


def run(where, backbone, shards, *, seed=0, places=None, stop=None):
    settings = {"task": "t", "checkpoint": {"sha256": "c"}, "data": {"fingerprint": shards.fingerprint}, "seed": seed}
    places = plan(shards, "picture") if places is None else places
    with CandidateFolder.begin(where, settings) as folder:

        def progress(done, total):
            if done == stop:
                raise KeyboardInterrupt

        bad = list(
            generate(
                folder, backbone, InstructEditing(), shards, places=places, settings=SETTINGS, seed=seed, progress=progress
            )
        )  # fmt: skip
    return folder, bad


def contents(folder):
    return {
        str(file.relative_to(folder.path)): file.read_bytes()
        for file in (folder.path / "samples").rglob("*")
        if file.is_file()
    }


def test_a_picture_is_asked_once_and_pictures_are_spread(phrases, classes):
    assert [place.number for place in plan(classes, "picture")] == list(range(6))
    assert [place.number for place in plan(classes, "picture", limit=3)] == [0, 2, 4]
    places = plan(phrases, "phrases")
    counts = [len(phrases.read(place.number).annotation["phrases"]) for place in places]
    assert all(0 <= place.item < count for place, count in zip(places, counts, strict=True))
    assert len({place.item for place in places}) > 1
    assert places == plan(ShardSet.open(str(phrases.folder)), "phrases")
    with pytest.raises(DataError, match="no image has any 'phrases'"):
        plan(classes, "phrases")


def test_one_prompt_of_several_is_chosen_by_key_among_those_that_change_something(classes):
    task = SemanticSegmentation()
    chosen = [one_prompt(task, classes.read(number), 0) for number in range(6)]
    for triplet in chosen:
        assert not torch.equal(triplet.source, triplet.target)
    assert len({triplet.instruction for triplet in chosen}) > 1
    again = [one_prompt(task, classes.read(number), 0).instruction for number in range(6)]
    assert again == [triplet.instruction for triplet in chosen]


@pytest.mark.parametrize(
    "task", [SemanticSegmentation(), ReferringSegmentation(), KeypointDetection(), InstructEditing()]
)
def test_every_task_gives_one_prompt(task):
    sample = task.example(np.random.default_rng(1))
    triplet = one_prompt(task, sample, 0)
    assert triplet.instruction in [query.instruction for query in task.queries(sample, 0)]


def test_a_sample_is_painted_whole(backbone, scenes, tmp_path):
    shards = ShardSet.open(scenes)
    folder, bad = run(tmp_path / "out", backbone, shards)
    assert (folder.samples(), bad) == ([f"{number:06d}" for number in range(5)], [])
    facts, sample = folder.read("000002"), shards.read(2)
    assert (facts.key, facts.instruction) == (sample.key, sample.annotation["instruction"])
    assert [one.sampling["guidance_text"] for one in facts.candidates] == [one.guidance_text for one in SETTINGS]
    assert len({one.seed for one in facts.candidates}) == 4
    source = decode_picture(folder.picture(facts, "source.png", facts.source["sha256"]), where="x")
    assert np.array_equal(source, sample.image)
    target = decode_picture(folder.picture(facts, facts.truth["file"], facts.truth["sha256"]), where="x")
    assert np.array_equal(target, sample.target)
    triplet = InstructEditing().queries(sample, 0)[0]
    alone = backbone.edit(
        triplet.source[None], [triplet.instruction], sampling=SETTINGS[1], seeds=[facts.candidates[1].seed]
    )[0]
    painted = decode_picture(folder.picture(facts, "candidate_01.png", facts.candidates[1].sha256), where="x")
    assert np.abs(painted.astype(int) - to_picture(alone)).max() <= 1


def test_a_killed_run_goes_on_to_the_same_bytes(backbone, scenes, tmp_path):
    shards = ShardSet.open(scenes)
    whole, _ = run(tmp_path / "whole", backbone, shards)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", backbone, shards, stop=2)
    cut = CandidateFolder.open(tmp_path / "cut")
    assert cut.samples() == ["000000", "000001"]
    (cut.path / "samples" / "000000" / "sample.json").unlink()  # killed inside of a sample: it is painted again
    (cut.path / "samples" / "000000" / "candidate_00.png").write_bytes(b"torn")
    before = (cut.path / "samples" / "000001" / "sample.json").stat().st_mtime_ns
    run(tmp_path / "cut", backbone, shards)
    assert contents(cut) == contents(whole)
    assert (cut.path / "samples" / "000001" / "sample.json").stat().st_mtime_ns == before


def test_another_seed_paints_other_pictures_of_the_same_prompts(backbone, scenes, tmp_path):
    torch.manual_seed(4)
    for parameter in backbone.unet.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    shards = ShardSet.open(scenes)
    places = plan(shards, "picture", limit=1)
    one, _ = run(tmp_path / "one", backbone, shards, places=places)
    other, _ = run(tmp_path / "other", backbone, shards, places=places, seed=1)
    first, second = one.read("000000"), other.read("000000")
    assert first.instruction == second.instruction
    assert all(a.sha256 != b.sha256 for a, b in zip(first.candidates, second.candidates, strict=True))


def test_a_bad_sample_is_named_and_left_out(backbone, scenes, tmp_path, monkeypatch):
    shards = ShardSet.open(scenes)
    read = shards.read

    def broken(number):
        if number == 1:
            raise BadSampleError("train-0:key", "source", "cut short")
        return read(number)

    monkeypatch.setattr(shards, "read", broken)
    folder, bad = run(tmp_path / "out", backbone, shards)
    assert folder.samples() == ["000000", "000002", "000003", "000004"]
    assert bad == ["train-0:key: source: cut short"]
    monkeypatch.setattr(shards, "read", read)
    run(tmp_path / "out", backbone, shards)
    assert folder.has("000001")


def test_captions_come_from_the_data():
    assert caption_of({"target_caption": "a red cat"}) == "a red cat"
    assert caption_of({"target_caption": " "}) is None
    assert caption_of({}) is None
