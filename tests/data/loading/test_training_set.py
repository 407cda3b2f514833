"""A run that an older version began continues: what its checkpoint says of the training data, and the order, stay the same."""

import pytest
from stream_fakes import SETS, CountingTask

from idiff.data.latent_cache import cached_part as cached
from idiff.data.latent_cache.format import CacheManifest
from idiff.data.loading import training
from idiff.data.loading.mixture import Layout
from idiff.data.loading.sequential import SequentialPart, in_shard_order
from idiff.data.loading.training import TaskEntry, open_training


class MemoryCache:
    """A latent cache without its arrays: 46 examples, two views of 23 items."""

    def __init__(self, folder):
        self.folder = folder
        self.manifest = CacheManifest(
            task="a", settings={"size": 64}, data="train:23", items=23, views=2, seed=3, rows=46, parts=[46],
            autoencoder="f" * 64, text="e" * 64,
        )  # fmt: skip

    def __len__(self):
        return self.manifest.rows


@pytest.fixture
def entries(monkeypatch):
    monkeypatch.setattr(training.ShardSet, "open", staticmethod(SETS.__getitem__))
    return {
        "a": TaskEntry(CountingTask(), train="train"),
        "b": TaskEntry(CountingTask(unit="instances"), train="other", weight=0.5),
    }


def test_indexed_shards_have_the_fingerprint_and_order_of_older_versions(entries):
    opened = open_training(entries, seed=0, epoch_samples=None)
    assert (opened.examples, opened.fingerprint) == (28, "05cb93e34f5126bc")
    loader = opened.loader(lambda: 0, steps=7, layout=Layout(micro=4), offset=0, workers=0, max_bad_fraction=0.01)
    keys = [key for batch in loader for key in batch.keys]
    assert keys[:8] == [
        f"{key}/0"
        for key in (
            "train-00000", "other-00007", "other-00002", "train-00002", "train-00013", "train-00008", "train-00005", "train-00004",
        )
    ]  # fmt: skip
    assert [part.name for part in opened.indexed] == ["a", "b"]


def test_shards_in_order_have_the_fingerprint_of_older_versions():
    parts = [
        SequentialPart("a", CountingTask(), ["/x/part-0.tar", "https://h.org/y/part-1.tar"]),
        SequentialPart("b", CountingTask(), ["/x/part-2.tar"], weight=2.0),
    ]
    opened = in_shard_order(parts, examples=20, seed=0)
    assert (opened.examples, opened.fingerprint) == (20, "43b5a83d24a6ca91")
    assert not opened.indexed


def test_latent_caches_have_the_fingerprint_of_older_versions(monkeypatch):
    monkeypatch.setattr(cached, "LatentCache", MemoryCache)
    monkeypatch.setattr(cached, "drawing_settings", lambda task: {"size": 64})
    opened = open_training(
        {"a": TaskEntry(CountingTask(), train="train", weight=0.5)}, seed=0, epoch_samples=None, cache="c"
    )
    assert (opened.examples, opened.fingerprint) == (12, "11397e18b5ba6540")
