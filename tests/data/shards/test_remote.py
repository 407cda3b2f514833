"""Shards behind an address: a web server on this machine, and fsspec's memory; through a bounded cache."""

import functools
import http.server
import multiprocessing
import threading

import fsspec
import pytest
from shard_making import ToySource
from torch._utils import ExceptionWrapper

from idiff.cli import main
from idiff.data.build.builder import build
from idiff.data.datamodule import SegmentationDataModule
from idiff.data.shards import remote
from idiff.data.shards.file_cache import Cache, parse_size
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError, FetchError
from idiff.synthetic.source import SyntheticSource


class Handler(http.server.SimpleHTTPRequestHandler):
    """Counts what was asked for; gives `broken` an error the first times."""

    asked: list[str]
    broken: dict[str, int]

    def do_GET(self):
        name = self.path.rpartition("/")[2]
        self.asked.append(name)
        if self.broken.get(name, 0):
            self.broken[name] -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def log_message(self, *words):
        pass


@pytest.fixture
def local(tmp_path):
    build(ToySource(9), tmp_path / "web/set", name="toy", split="val", shard_size=2)
    return tmp_path / "web/set"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """(address, what was asked for, name -> failures to come) of a server over `web`."""
    monkeypatch.setattr(remote, "DELAYS", (0.01, 0.01))
    monkeypatch.setenv("IDIFF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "web").mkdir(exist_ok=True)
    handler = type("Own", (Handler,), {"asked": [], "broken": {}})
    own = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path / "web"))
    )  # fmt: skip
    threading.Thread(target=own.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{own.server_port}", handler.asked, handler.broken
    own.shutdown()
    own.server_close()


def everything(shards):
    return [(shards.key(place), shards.read_members(place)) for place in range(len(shards))]


def test_a_set_on_a_web_server_is_the_set(local, server):
    address, asked, _ = server
    there = ShardSet.open(f"{address}/set/")
    assert sorted(asked) == ["manifest.json", *(f"val-{number:06d}.index.npy" for number in range(5))]
    here = ShardSet.open(local)
    assert (there.fingerprint, len(there), str(there.folder)) == (here.fingerprint, 9, f"{address}/set")
    assert there.read_members(3) == here.read_members(3)
    assert asked[6:] == ["val-000001.tar"]
    assert everything(there) == everything(here)
    assert len(asked) == 6 + 5
    again = ShardSet.open(f"{address}/set")
    assert everything(again) == everything(here)
    assert asked[11:] == ["manifest.json"]


def test_a_set_in_an_object_store_is_the_set(local, tmp_path):
    files = fsspec.filesystem("memory")
    files.put(str(local), "/bucket/set", recursive=True)
    there = ShardSet.open("memory://bucket/set", cache=Cache(tmp_path / "cache"))
    assert everything(there) == everything(ShardSet.open(local))
    assert [there.locate("instances", i) for i in range(9)] == [
        ShardSet.open(local).locate("instances", i) for i in range(9)
    ]


def test_a_failing_server_is_asked_again(local, server):
    address, asked, broken = server
    broken |= {"manifest.json": 1, "val-000000.tar": 2}
    shards = ShardSet.open(f"{address}/set")
    assert shards.read(0).key == "k0000"
    assert asked.count("val-000000.tar") == 3
    broken["val-000001.tar"] = 3
    with pytest.raises(FetchError, match=r"val-000001\.tar cannot be fetched: 503.*Check the connection"):
        shards.read(2)
    assert shards.read(2).key == "k0002"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:700], "is damaged: 700 bytes with SHA-256"),
        (lambda data: data[:700] + b"x" + data[701:], "is damaged"),
        (lambda data: data + b"more", "is larger than"),
        (None, r"val-000001\.tar is not there"),
    ],
)
def test_a_damaged_or_missing_shard_is_never_read(local, server, tmp_path, change, reason):
    path = local / "val-000001.tar"
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    shards = ShardSet.open(f"{server[0]}/set")
    with pytest.raises(FetchError, match=reason):
        shards.read(2)
    assert shards.read(0).key == "k0000"
    assert not [file.name for file in (tmp_path / "cache").iterdir() if file.name.endswith((".part", ".room"))]


def test_a_changed_index_and_a_wrong_manifest_are_refused(local, server):
    table = local / "val-000001.index.npy"
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    with pytest.raises(FetchError, match=r"val-000001\.index\.npy is damaged"):
        ShardSet.open(f"{server[0]}/set")
    (local / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=rf"{server[0]}/set/manifest\.json is not a manifest of shards"):
        ShardSet.open(f"{server[0]}/set")
    with pytest.raises(FetchError, match=r"nowhere/manifest\.json is not there"):
        ShardSet.open(f"{server[0]}/nowhere")


@pytest.mark.parametrize(
    "where",
    ["pipe://cat x", "file:///etc", "ssh://host/x", "simplecache::http://a/b", "http://a/b?c", "s3://a/../b", "://x"],
)
def test_other_schemes_are_refused_before_anything_is_opened(where, monkeypatch):
    monkeypatch.setattr(fsspec, "filesystem", None)
    with pytest.raises(DataError, match="shards are read from plain paths, and from addresses"):
        ShardSet.open(where)


def test_a_store_without_its_package_is_named(tmp_path, monkeypatch):
    def absent(scheme, **options):
        raise ImportError("no s3fs")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(ConfigError, match="s3:// needs s3fs: pip install s3fs"):
        ShardSet.open("s3://bucket/set", cache=Cache(tmp_path))


def test_the_cache_stays_within_its_bound_and_drops_what_is_oldest(local, server, tmp_path, caplog):
    address, asked, _ = server
    sizes = [file.stat().st_size for file in local.glob("*.tar")]
    cache = Cache(tmp_path / "small", limit=3 * max(sizes))
    shards = ShardSet.open(f"{address}/set", cache=cache)
    assert "will be fetched again and again" in caplog.text
    for place in (0, 2, 4, 0, 6, 8, 0, 2):
        assert shards.read(place).key == f"k{place:04d}"
        assert cache.size() <= cache.limit
    assert asked.count("val-000000.tar") < asked.count("val-000001.tar") == 2
    with pytest.raises(ConfigError, match=r"val-000000\.tar has .* more than the cache .*Raise IDIFF_CACHE_SIZE"):
        ShardSet.open(f"{address}/set", cache=Cache(tmp_path / "tiny", limit=max(sizes) - 1)).read(0)


def test_what_is_open_stays_readable_when_it_is_removed(local, server, tmp_path):
    shards = ShardSet.open(f"{server[0]}/set")
    entry = shards.manifest.shards[0]
    with shards.folder.open(entry) as stream:
        for file in (tmp_path / "cache").glob("[0-9a-f]*"):
            file.unlink()
        assert len(stream.read(entry.size)) == entry.size
    assert shards.read(0).key == "k0000"


def test_what_a_killed_process_left_is_taken_over(local, server, tmp_path):
    shards = ShardSet.open(f"{server[0]}/set", cache=Cache(tmp_path / "cache", limit=60_000))
    for entry, left in zip(shards.manifest.shards, (0, 1, 1), strict=False):
        (tmp_path / f"cache/.{entry.sha256}.part").write_bytes(b"half" * left)
        with (tmp_path / f"cache/.{entry.sha256}.room").open("wb") as room:
            room.truncate(50_000)
    assert [shards.read(place).key for place in range(9)] == [f"k{place:04d}" for place in range(9)]


def _read_all(address, folder, limit, seed, results):
    import random

    from idiff.data.shards.file_cache import Cache
    from idiff.data.shards.reader import ShardSet

    cache = Cache(folder, limit=limit)
    shards = ShardSet.open(address, cache=cache)
    places = list(range(len(shards))) * 6
    random.Random(seed).shuffle(places)
    keys = [shards.read(place).key == shards.key(place) for place in places]
    results.put((all(keys), cache.size() <= limit))


@pytest.mark.timeout(120)
def test_several_processes_share_one_small_cache(local, server, tmp_path):
    limit = 3 * max(file.stat().st_size for file in local.glob("*.tar"))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (f"{server[0]}/set", tmp_path / "shared", limit)
    workers = [context.Process(target=_read_all, args=(*arguments, seed, results)) for seed in range(3)]
    for worker in workers:
        worker.start()
    assert [results.get(timeout=100) for _ in workers] == [(True, True)] * 3
    for worker in workers:
        worker.join()


def test_one_process_fetches_for_all(local, server, tmp_path):
    """Two that want one file at once: the second waits and finds it."""
    address, asked, _ = server
    first, second = (ShardSet.open(f"{address}/set") for _ in range(2))
    threads = [threading.Thread(target=shards.read, args=(0,)) for shards in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked.count("val-000000.tar") == 1


def test_worker_processes_read_rows_from_an_address(tmp_path, server):
    for split in ("train", "val"):
        source = SyntheticSource("segmentation", split=split, count=8)
        build(source, tmp_path / "web" / split, name="synthetic", split=split, shard_size=3)
    rows = []
    for place, workers in ((f"{server[0]}/", 2), (f"{tmp_path}/web/", 0)):
        data = SegmentationDataModule(
            train=f"{place}train", val=f"{place}val", batch_size=4, num_workers=workers, val_samples=2
        )
        data.setup("fit")
        rows.append([batch.target for batch in data.train_dataloader()])
    assert all((one == other).all() for one, other in zip(*rows, strict=True))


def test_an_error_of_a_worker_is_one_sentence(local, server):
    """torch raises a worker's error again, with its traceback as the text."""
    shards = ShardSet.open(f"{server[0]}/set")
    (local / "val-000000.tar").unlink()
    try:
        shards.read(0)
    except FetchError:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(FetchError) as caught:
        wrapped.reraise()
    assert "Traceback" in wrapped.exc_msg
    assert str(caught.value).startswith(f"{server[0]}/set/val-000000.tar is not there.")


def test_stats_and_overlap_take_addresses(local, server, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", "stats", f"{server[0]}/set"]) == 0
    assert "samples: 9" in capsys.readouterr().out
    assert main(["data", "overlap", f"{server[0]}/set", str(local)]) == 1
    assert "9 pairs of one image" in capsys.readouterr().out


def test_check_takes_an_address_and_names_what_is_wrong(local, server, capsys):
    address = f"{server[0]}/set"
    assert main(["data", "check", address]) == 0
    assert f"{address}: sound; 5 shards, 9 samples" in capsys.readouterr().out
    for file in Cache().folder.glob("[0-9a-f]*"):
        file.unlink()
    path = local / "val-000001.tar"
    path.write_bytes(path.read_bytes()[:-3] + b"xyz")
    (local / "val-000002.tar").unlink()
    assert main(["data", "check", address]) == 1
    text = capsys.readouterr().out
    assert f"{address}/val-000001.tar is damaged" in text
    assert f"{address}/val-000002.tar is not there" in text
    assert f"{address}: 2 faults" in text
    assert main(["data", "check", f"{server[0]}/nowhere"]) == 2


@pytest.mark.parametrize(("text", "size"), [("1000", 1000), ("2K", 2048), ("1.5 GB", 3 << 29), ("1TiB", 1 << 40)])
def test_sizes(text, size, monkeypatch, tmp_path):
    assert parse_size(text) == size
    monkeypatch.setenv("IDIFF_CACHE_SIZE", text)
    assert Cache(tmp_path).limit == size


def test_a_cache_that_cannot_be_is_named(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="IDIFF_CACHE_SIZE=much: expected bytes"):
        parse_size("much")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="the cache cannot be made"):
        Cache(tmp_path / "file" / "deep")
    monkeypatch.delenv("IDIFF_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache().folder == tmp_path / "xdg/idiff"
    assert Cache().folder.is_dir()
