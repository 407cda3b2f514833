import io
import json
import logging
import os
import pickle
import tarfile
from collections import Counter

import numpy as np
import pytest
from lightning.pytorch import Trainer
from PIL import Image
from stream_fakes import CountingTask, Recorder

from idiff.data.datamodule import MixtureDataModule, TaskDataModule
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import PositionSampler
from idiff.data.loading.loaders import training_loader
from idiff.data.loading.mixture import Layout
from idiff.data.loading.sequential import SequentialDataset, SequentialPart, open_part, shard_urls
from idiff.data.loading.training import TaskEntry
from idiff.errors import DataError


class Trap:
    """Unpickling this leaves a file behind."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/idiff-trap-was-sprung",)


def picture():
    stream = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(path, samples):
    """Write a tar of `name -> bytes` in order."""
    with tarfile.open(path, "w") as tar:
        for name, data in samples.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def plain(first, count, *, people=1):
    members = {}
    for number in range(first, first + count):
        instance = {"category": "person", "box": [0, 0, 1, 1], "area": 1.0, "id": 1}
        facts = {"number": number, "instances": [instance] * people}
        members[f"{number:05d}.source.png"] = picture()
        members[f"{number:05d}.annotation.json"] = json.dumps(facts).encode()
    return members


@pytest.fixture
def shards(tmp_path):
    for number in range(3):
        write(tmp_path / f"part-{number}.tar", plain(number * 10, 10))
    return tmp_path


def dataset(folder, *, batches=5, task=None, start=0, micro=2, world=1, rank=0, **options):
    part = SequentialPart("set", task or CountingTask(), shard_urls(str(folder)))
    layout = Layout(micro=micro, world=world, rank=rank)
    return SequentialDataset([part], batches=batches, layout=layout, seed=0, start=start, **options)


def loaded(rows, *, workers):
    order = PositionSampler(lambda: 0, steps=len(rows), layout=rows.layout)
    return training_loader(rows, order, collate=collate_examples, workers=workers)


def numbers(rows):
    return [int(row.triplet.target[0, 0, 0]) for batch in rows for row in batch]


# --- addresses


def test_folders_patterns_and_addresses(shards):
    files = [str(shards / f"part-{number}.tar") for number in range(3)]
    assert shard_urls(str(shards)) == files
    assert shard_urls(f"{shards}/part-[02].tar") == [files[0], files[2]]
    assert shard_urls(f"{shards}/part-{{0..1}}.tar") == files[:2]
    assert shard_urls("https://example.org/{a,b}.tar") == ["https://example.org/a.tar", "https://example.org/b.tar"]
    spaced = shards / "a folder"
    spaced.mkdir()
    (shards / "part-0.tar").rename(spaced / "part-0.tar")
    assert shard_urls(str(spaced)) == [str(spaced / "part-0.tar")]


@pytest.mark.parametrize(
    "where",
    ["pipe:touch x", "PIPE:touch x", "gs://a/b.tar", "file:///etc/x.tar", "hf://a/b.tar", "-", "--help", "ais://x"],
)
def test_what_would_run_a_program_is_refused(where):
    with pytest.raises(DataError, match="plain paths"):
        shard_urls(where)


@pytest.mark.parametrize(
    ("where", "word"), [("nothing-*.tar", "nothing-"), ("", "'': no shards there"), (".", "no shards there")]
)
def test_nothing_there_is_one_clear_sentence(tmp_path, monkeypatch, where, word):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=word):
        shard_urls(where)


def test_a_file_named_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pipe:mkdir sprung.tar", plain(0, 3))
    for where in (".", "*.tar", "pipe*"):
        assert numbers(dataset(where, batches=3)) != []
    assert not (tmp_path / "sprung.tar").exists()


# --- rows


def test_each_sample_comes_once_a_round(shards):
    rows = numbers(dataset(shards, batches=30, micro=2, buffer=8))
    assert sorted(rows[:30]) == sorted(rows[30:]) == list(range(30))
    assert rows[:30] != rows[30:]
    assert rows[:30] != list(range(30))


def test_each_item_comes_once_a_round(tmp_path):
    write(tmp_path / "a.tar", plain(0, 4, people=3))
    rows = dataset(tmp_path, batches=6, micro=2, task=CountingTask(unit="instances"))
    keys = [row.triplet.key for batch in rows for row in batch]
    assert sorted(keys) == [f"{number:05d}/{item}" for number in range(4) for item in range(3)]


def test_a_pass_and_a_restart_read_in_another_order(shards):
    rows = dataset(shards, batches=15)
    first, second = numbers(rows), numbers(rows)
    other = numbers(dataset(shards, batches=15, start=7))
    assert first == numbers(dataset(shards, batches=15))
    assert len({tuple(first), tuple(second), tuple(other)}) == 3


def test_positions_never_repeat(shards):
    rows = dataset(shards, batches=30)
    positions = [row.position for _ in range(2) for batch in rows for row in batch]
    assert len(set(positions)) == 120
    assert all(0 <= position < 2**63 for position in positions)


def test_it_says_that_it_cannot_resume_exactly(shards, caplog):
    with caplog.at_level(logging.WARNING):
        rows = dataset(shards)
        list(rows)
        list(rows)
    assert [record.message for record in caplog.records if "sequential mode" in record.message][1:] == []
    assert "idiff data index" in caplog.text


@pytest.mark.parametrize("world", [1, 2, 3])
def test_ranks_read_their_own_shards(shards, world):
    read = [set(numbers(dataset(shards, batches=30, world=world, rank=rank))) for rank in range(world)]
    assert set.union(*read) == set(range(30))
    assert sum(map(len, read)) == 30


@pytest.mark.parametrize("workers", [2, 5])
def test_fewer_shards_than_workers_is_no_error(shards, workers):
    loader = loaded(dataset(shards, batches=11), workers=workers)
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 11
        positions = [row for batch in batches for row in batch.position.tolist()]
        assert len(set(positions)) == 22


def test_weights_are_shares(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name / "0.tar", plain(0, 20))
    parts = [
        open_part("a", CountingTask(), where=str(tmp_path / "a"), weight=3.0),
        open_part("b", CountingTask(), where=str(tmp_path / "b"), weight=1.0),
    ]
    rows = SequentialDataset(parts, batches=100, layout=Layout(micro=4), seed=0)
    counts = Counter(row.task for batch in rows for row in batch)
    assert 250 < counts["a"] < 350


# --- foreign and broken shards


def test_foreign_members_are_skipped_and_nothing_runs(tmp_path):
    evil = pickle.dumps(Trap())
    members = {}
    for number in range(3):
        key = f"{number:05d}"
        members |= {f"{key}.{end}": evil for end in ("pyd", "pickle", "pkl", "pth", "cls", "source.pyd")}
        members |= plain(number, 1)
    members["../../escape.source.png"] = picture()
    members["__secret__"] = evil
    write(tmp_path / "a.tar", members)
    rows = [row for batch in dataset(tmp_path, batches=3) for row in batch]
    assert {row.triplet.key for row in rows} == {f"{number:05d}/0" for number in range(3)}
    assert not os.path.exists("/tmp/idiff-trap-was-sprung")  # noqa: PTH110


def test_bad_samples_are_named_and_passed_over(tmp_path):
    members = plain(0, 20)
    members["00003.source.png"] = b"no image"
    members["00007.annotation.json"] = b"{"
    del members["00011.annotation.json"]
    write(tmp_path / "a.tar", members)
    rows = [row for batch in dataset(tmp_path, batches=17, micro=2, max_bad_fraction=0.5) for row in batch]
    assert Counter(row.triplet.key[:5] for row in rows)["00003"] == 0
    names = {name.split(": ")[0] for row in rows for name in row.bad}
    assert names == {"a.tar:00003", "a.tar:00007", "a.tar:00011"}


def test_too_many_bad_samples_end_the_run(tmp_path):
    members = plain(0, 30)
    members |= {name: b"x" for name in members if name.endswith("png") and name[4] in "02468"}
    write(tmp_path / "a.tar", members)
    with pytest.raises(DataError, match="max_bad_fraction"):
        list(dataset(tmp_path, batches=100))


def test_a_shard_of_another_schema_is_explained(tmp_path):
    write(tmp_path / "a.tar", {"0.jpg": picture(), "0.txt": b"a cat"})
    with pytest.raises(DataError, match=r"no usable item .*key\.source\.jpg"):
        list(dataset(tmp_path))


def test_a_cut_shard_is_named(shards):
    path = shards / "part-1.tar"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"part-1\.tar"):
        list(dataset(shards, batches=30))


def test_the_error_of_a_worker_is_one_sentence(tmp_path):
    write(tmp_path / "a.tar", {"0.jpg": picture()})
    with pytest.raises(DataError, match="no usable item") as caught:
        list(loaded(dataset(tmp_path), workers=1))
    assert "Traceback" not in str(caught.value)
    assert str(caught.value).startswith("set: no usable item")


# --- in a trainer


def test_training_from_shards_without_an_index(shards, tmp_path):
    data = TaskDataModule(
        CountingTask(), train=str(shards), batch_size=2, mode="sequential", epoch_samples=10, num_workers=2
    )
    recorder = Recorder()
    run = Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    run.fit(recorder, data)
    assert [step for step, _ in recorder.seen] == list(range(15))
    assert len({row for _, batch in recorder.seen for row in batch}) == 30
    assert "set" not in data.training.summary and "3 shards" in data.training.summary


def test_a_sequential_mixture_has_its_facts_from_the_manifest(shards):
    manifest = {"schema": 0}
    (shards / "manifest.json").write_text(json.dumps(manifest))
    data = MixtureDataModule({"a": TaskEntry(CountingTask(), train=str(shards))}, mode="sequential", epoch_samples=64)
    with pytest.raises(DataError, match=r"manifest\.json"):
        data.setup("fit")
