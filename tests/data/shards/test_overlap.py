"""No image is validated on that is trained on: found by content and by key, refused by the data module."""

import logging

import cv2
import numpy as np
import pytest
from shard_making import file_bytes

from idiff.cli import main
from idiff.data.build.builder import build
from idiff.data.datamodule import MixtureDataModule
from idiff.data.loading.training import TaskEntry
from idiff.data.shards.overlap import looks_alike, overlap, same_code
from idiff.data.shards.reader import ShardSet
from idiff.data.sources.base import RawSample, Source
from idiff.errors import DataError
from idiff.tasks import Denoise
from idiff.utils.picture_files import encode_png


def scene(seed, height=48, width=64):
    """A smooth image that differs much from seed to seed."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


class Pictures(Source):
    """Given (key, file bytes); each is its own target."""

    tasks = ("denoise",)

    def __init__(self, files):
        self.files = files

    def meta(self):
        return {}

    def __len__(self):
        return len(self.files)

    def sample(self, index):
        key, data = self.files[index]
        return RawSample(key=key, image=data, annotation={}, target=data)


def numbered(seeds, prefix):
    return [(f"{prefix}{seed:04d}", encode_png(scene(seed))) for seed in seeds]


@pytest.fixture
def made(tmp_path):
    def make(name, files, split="train"):
        build(Pictures(files), tmp_path / name, name="toy", split=split, shard_size=3)
        return str(tmp_path / name)

    return make


def module(train, val, **options):
    entries = {f"task{place}": TaskEntry(Denoise(size=32), train=folder) for place, folder in enumerate(train)}
    return MixtureDataModule(entries | {"judged": TaskEntry(Denoise(size=32), val=val)}, batch_size=2, **options)


def test_training_rows_come_from_the_training_sets_alone(made):
    """The released code concatenates the validation set into training (its COCO val2017)."""
    data = module([made("a", numbered(range(7), "t"))], made("b", numbered(range(50, 55), "v"), "val"))
    data.setup("fit")
    dataset = data.train_dataloader().dataset
    seen = {dataset[position].triplet.key.split("/")[0] for position in range(4 * len(dataset))}
    assert seen == {f"t{number:04d}" for number in range(7)}


def test_a_validation_set_concatenated_into_training_is_refused(made):
    val = numbered(range(50, 54), "v")
    folder = made("b", val, "val")
    with pytest.raises(DataError, match=r"4 of the 4 evaluation images of 'judged' are in .*both.*'task1'.*--without"):
        module([made("a", numbered(range(7), "t")), made("both", numbered(range(7), "t") + val)], folder).setup("fit")


def test_one_shared_picture_under_another_key_is_refused_unless_allowed(made, caplog):
    train = [*numbered(range(8), "t"), ("other", encode_png(scene(52)))]
    arguments = [made("a", train)], made("b", numbered(range(50, 54), "v"), "val")
    with pytest.raises(DataError, match=r"1 of the 4 .* such as val-000000\.tar:v0052"):
        module(*arguments).setup("fit")
    with caplog.at_level(logging.WARNING):
        module(*arguments, overlap="warn").setup("fit")
    assert "1 of the 4 evaluation images" in caplog.text
    with pytest.raises(DataError, match="is the training set of"):
        module([arguments[1]], arguments[1], overlap="warn").setup("fit")


def test_equal_sizes_and_checksums_are_no_proof(made, monkeypatch):
    """Two files of one CRC-32 are read before a set is refused."""
    train, val = made("a", numbered(range(4), "t")), made("b", numbered(range(50, 54), "v"), "val")
    monkeypatch.setattr(
        "idiff.data.shards.overlap._codes", lambda shards, shard: np.zeros(len(shards.rows(shard)), np.uint64)
    )
    assert len(same_code(ShardSet.open(train), ShardSet.open(val))[0]) == 16
    module([train], val).setup("fit")


def test_overlap_names_files_and_pictures_stored_anew(made, capsys):
    again = file_bytes(cv2.resize(scene(51), (96, 72)), "JPEG", quality=70)
    train = [*numbered(range(4), "t"), ("v0051", again), ("x", encode_png(scene(50))), ("v0053", encode_png(scene(9)))]
    folders = made("a", train), made("b", numbered(range(50, 54), "v"), "val")
    found = overlap(*map(ShardSet.open, folders))
    assert [(pair.train, pair.val) for pair in found.pairs] == [(4, 1), (5, 0)]
    assert found.renamed == 1
    assert main(["data", "overlap", *folders]) == 1
    text = capsys.readouterr().out
    assert "train-000001.tar:v0051 = val-000000.tar:v0051: one key, and the images look alike" in text
    assert "train-000001.tar:x = val-000000.tar:v0050: the same file" in text
    assert "v0052" not in text
    assert "1 key names different images" in text


def test_sets_apart_exit_0(made, capsys):
    folders = made("a", numbered(range(4), "n")), made("b", numbered(range(50, 54), "n"), "val")
    assert main(["data", "overlap", *folders]) == 0
    assert "no image of" in capsys.readouterr().out
    assert main(["data", "overlap", folders[0], "nowhere"]) == 2


def test_looking_alike_is_about_content():
    picture = scene(1)
    assert looks_alike(picture, cv2.resize(picture, (128, 96)))
    assert not looks_alike(picture, picture[:, ::-1])
    assert not looks_alike(picture, picture[:, :40])
    assert not any(looks_alike(scene(first), scene(first + 1)) for first in range(20))
