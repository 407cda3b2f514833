"""`idiff data cache`, and training from what it writes."""

import filecmp
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from fit_runs import CONFIGS, CutAt, CutError, assert_same_state, fit_with, state

from idiff.cli import main
from idiff.data.latent_cache import writer as caching
from idiff.data.latent_cache.cached_part import open_cached
from idiff.data.latent_cache.format import LatentCache
from idiff.data.latent_cache.writer import Views, build_cache
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import Example, Part
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError
from idiff.models.io.checkpoint import load
from idiff.models.latent_encoder import FrozenEncoder
from idiff.tasks import KeypointDetection, SemanticSegmentation

NAMES = ("segmentation", "keypoints")


@pytest.fixture(scope="module")
def tiny():
    """The model that ships: its autoencoder and text encoder are frozen."""
    return load("tiny").backbone


@pytest.fixture(scope="module")
def encoder(tiny):
    return FrozenEncoder(tiny)


@pytest.fixture
def part(shards):
    return Part("segmentation", SemanticSegmentation(), ShardSet.open(str(shards / "segmentation" / "train")))


@pytest.fixture
def experiment(tmp_path, monkeypatch, shards):
    """A configuration of two tasks on the model that ships, which trains from `cache`."""
    monkeypatch.chdir(tmp_path)
    tasks = {
        name: {
            "include": str(CONFIGS / "task" / f"{name}.yaml"),
            "train": str(shards / name / "train"),
            "val": str(shards / name / "val"),
        }
        for name in NAMES
    }
    config = {
        "include": [str(CONFIGS / "stage" / "tasks.yaml"), str(CONFIGS / "model" / "tiny.yaml")],
        "model": {"init_args": {"backbone": {"init_args": {"objective": {"auxiliary_loss_weight": 0.5}}}}},
        "data": {
            "class_path": "idiff.data.datamodule.MixtureDataModule",
            "init_args": {"tasks": tasks, "batch_size": 2, "cache": "cache"},
        },
        "last": {"every_n_steps": 1},
        "trainer": {
            "default_root_dir": "run", "max_steps": 3, "limit_val_batches": 0, "log_every_n_steps": 1, "accelerator": "cpu",
            "enable_model_summary": False,
        },
    }  # fmt: skip
    Path("tiny.yaml").write_text(yaml.safe_dump(config))
    return "tiny.yaml"


def same_files(one, other):
    """Whether two folders hold the same names and bytes."""
    names = sorted(str(file.relative_to(one)) for file in Path(one).rglob("*") if file.is_file())
    assert names == sorted(str(file.relative_to(other)) for file in Path(other).rglob("*") if file.is_file())
    return all(filecmp.cmp(Path(one) / name, Path(other) / name, shallow=False) for name in names)


def test_a_build_that_was_cut_goes_on_to_the_same_bytes(part, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(caching, "ROWS", 16)
    whole = build_cache(part, tmp_path / "whole", encoder=encoder, views=2, seed=3, batch=8)
    assert (whole.rows, whole.parts, whole.items) == (48, [16, 16, 16], 24)

    def cut(done, total):
        if done >= 24:
            raise CutError

    with pytest.raises(CutError):
        build_cache(part, tmp_path / "cut", encoder=encoder, views=2, seed=3, batch=8, progress=cut)
    with pytest.raises(DataError, match=r"cache\.json is missing"):
        LatentCache(tmp_path / "cut")
    first = (tmp_path / "cut" / "part-00000" / "mean.npy").stat().st_mtime_ns
    build_cache(part, tmp_path / "cut", encoder=encoder, views=2, seed=3, batch=8)
    assert (tmp_path / "cut" / "part-00000" / "mean.npy").stat().st_mtime_ns == first
    assert same_files(tmp_path / "whole", tmp_path / "cut")
    assert build_cache(part, tmp_path / "cut", encoder=encoder, views=2, seed=3) == whole  # nothing is left to do
    with pytest.raises(DataError, match="holds another cache: seed differ"):
        build_cache(part, tmp_path / "cut", encoder=encoder, views=2, seed=4)


def test_a_folder_of_something_else_is_refused(part, encoder, tmp_path, monkeypatch):
    def cut(done, total):
        raise CutError

    with pytest.raises(CutError):
        build_cache(part, tmp_path / "a", encoder=encoder, views=1, seed=0, batch=8, progress=cut)
    with pytest.raises(DataError, match="beginning of another cache: views, seed differ"):
        build_cache(part, tmp_path / "a", encoder=encoder, views=2, seed=1)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="holds something already"):
        build_cache(part, tmp_path / "b", encoder=encoder, views=1, seed=0)
    assert (tmp_path / "b" / "mine.txt").read_text() == "keep me"


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_from_a_cache_is_the_loss_from_the_pictures(name, shards, tiny, encoder, tmp_path):
    task = {"segmentation": SemanticSegmentation, "keypoints": KeypointDetection}[name]()
    part = Part(name, task, ShardSet.open(str(shards / name / "train")))
    build_cache(part, tmp_path / name, encoder=encoder, views=2, seed=5)
    training = open_cached({name: (task, 1.0)}, tmp_path, seed=0)
    dataset = training.loader(lambda: 0, steps=1, layout=None, offset=0, workers=0, max_bad_fraction=0.0).dataset
    cached = training.collate([dataset[position] for position in range(6)])
    views = Views(part, views=2, seed=5)
    rows = [dataset.stream.locate(position)[1] for position in range(6)]
    raw = collate_examples([Example(views[row], position, name, []) for position, row in enumerate(rows)])
    assert cached.instruction == raw.instruction
    assert cached.keys == raw.keys
    assert cached.query == raw.query
    with torch.no_grad():
        losses = [float(tiny.loss(batch.to("cpu"), seed=1)) for batch in (cached, raw)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
    seen = cached.to("cpu").parts
    assert [None if each is None else each.names for each in seen] == [each and each.names for each in raw.parts]
    assert all(torch.equal(a.labels, b.labels) for a, b in zip(seen, raw.parts, strict=True) if b is not None)


def test_an_epoch_draws_items_not_views(part, encoder, tmp_path):
    build_cache(part, tmp_path / "segmentation", encoder=encoder, views=3, seed=0)
    training = open_cached({"segmentation": (part.task, 0.5)}, tmp_path, seed=0)
    assert training.examples == 12
    assert "3 views an item" in training.summary


def test_a_cache_of_other_settings_or_other_weights_is_refused(part, tiny, encoder, tmp_path):
    build_cache(part, tmp_path / "segmentation", encoder=encoder, views=1, seed=0)
    sentences = tmp_path / "mine.txt"
    sentences.write_text("Paint each {object} in {color}.")
    with pytest.raises(
        DataError, match=r"drawn with other settings than task 'segmentation' has: negatives 0\.2 -> 0\.4"
    ):
        open_cached({"segmentation": (SemanticSegmentation(negatives=0.4), 1.0)}, tmp_path, seed=0)
    for other in ({"augment": []}, {"instructions": str(sentences)}):
        with pytest.raises(DataError, match=f"drawn with other settings .*{next(iter(other))} None -> "):
            open_cached({"segmentation": (SemanticSegmentation(**other), 1.0)}, tmp_path, seed=0)
    reading = SemanticSegmentation(
        min_score=0.7, decoder_args={"smooth": 1}
    )  # decide how answers are read, not how rows look
    training = open_cached({"segmentation": (reading, 1.0)}, tmp_path, seed=0)
    dataset = training.loader(lambda: 0, steps=1, layout=None, offset=0, workers=0, max_bad_fraction=0.0).dataset
    batch = training.collate([dataset[0]])
    batch.made_by = ("0" * 64, batch.made_by[1])
    with pytest.raises(ConfigError, match="made with another autoencoder or text encoder"):
        tiny.loss(batch, seed=0)


def test_a_cache_of_an_older_version_is_refused_in_one_sentence(part, encoder, tmp_path):
    build_cache(part, tmp_path / "segmentation", encoder=encoder, views=1, seed=0)
    path = tmp_path / "segmentation" / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 1}))
    with pytest.raises(DataError, match=r"cache\.json has schema 1, this version reads 2: make the cache again\.$"):
        open_cached({"segmentation": (part.task, 1.0)}, tmp_path, seed=0)


def test_training_from_a_cache_is_cut_and_goes_on_bit_by_bit(experiment, monkeypatch):
    assert main(["data", "cache", "--config", experiment, "--model", "tiny", "--views", "2", "--out", "cache"]) == 0
    assert json.loads(Path("cache/keypoints/cache.json").read_text())["views"] == 2
    assert main(["fit", "--config", experiment, "--trainer.default_root_dir", "uncut"]) == 0
    with pytest.raises(CutError):
        fit_with(monkeypatch, ["fit", "--config", experiment], CutAt(2))
    assert main(["fit", "--config", experiment, "--ckpt_path", "last"]) == 0
    assert_same_state(state("run"), state("uncut"))


def test_wrong_input_is_one_sentence(experiment, shards, capsys):
    words = ["data", "cache", "--config", experiment, "--model", "tiny", "--out", "cache"]
    assert main([*words, "--views", "0"]) == 2
    assert "--views is 0" in capsys.readouterr().err
    assert main([*words, str(shards / "keypoints" / "val")]) == 2
    assert "name one with --task (keypoints, segmentation)" in capsys.readouterr().err
    assert main(["fit", "--config", experiment]) == 2
    assert "cache.json is missing" in capsys.readouterr().err
    assert main(words) == 0
    shutil.rmtree("cache/segmentation/part-00000")
    capsys.readouterr()
    assert main(["fit", "--config", experiment, "--data.init_args.tasks.keypoints.train", "null"]) == 2
    assert "missing or damaged" in capsys.readouterr().err
