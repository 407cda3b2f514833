"""Builds: the same bytes whatever the number of workers, and after a kill; nothing left out in silence."""

import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest
from shard_making import ToySource, build_toy, bytes_of
from small_models import HELPERS, ROOT

from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError, DataError


def test_two_workers_write_the_bytes_of_one(tmp_path):
    build_toy(tmp_path / "one")
    build_toy(tmp_path / "two", workers=2)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


@pytest.mark.parametrize("lost", ["val-000001.done", "val-000002.tar", "val-000003.index.npy", "manifest.json"])
def test_a_build_goes_on_where_it_was_cut(tmp_path, lost):
    build_toy(tmp_path)
    whole = bytes_of(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / ".val-000001.tar.123.tmp").write_bytes(b"half a shard")
    kept = tmp_path / "val-000000.tar"
    before = kept.stat().st_mtime_ns
    assert build_toy(tmp_path).written == (lost != "manifest.json")
    assert bytes_of(tmp_path) == whole
    assert kept.stat().st_mtime_ns == before


def test_a_cut_or_changed_shard_is_built_again(tmp_path):
    build_toy(tmp_path)
    whole = bytes_of(tmp_path)
    path = tmp_path / "val-000002.tar"
    path.write_bytes(path.read_bytes()[:700])
    changed = bytearray((tmp_path / "val-000000.tar").read_bytes())
    changed[600] ^= 1
    (tmp_path / "val-000000.tar").write_bytes(changed)
    assert build_toy(tmp_path).written == 2
    assert bytes_of(tmp_path) == whole


def test_an_interrupted_build_keeps_its_shards(tmp_path):
    build_toy(tmp_path / "whole", ToySource(9))
    with pytest.raises(KeyboardInterrupt):
        build_toy(tmp_path / "cut", ToySource(9, fail_at=5))
    assert not (tmp_path / "cut/manifest.json").exists()
    assert sorted(file.name for file in (tmp_path / "cut").glob("*.tar")) == ["val-000000.tar", "val-000001.tar"]
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        ShardSet.open(tmp_path / "cut")
    assert build_toy(tmp_path / "cut", ToySource(9)).written == 3
    assert bytes_of(tmp_path / "cut") == bytes_of(tmp_path / "whole")


@pytest.mark.faults
def test_a_killed_build_goes_on(tmp_path):
    """SIGKILL between two shards; the workers end too, or the wait for their output would not."""
    script = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[2])\n"
        "from shard_making import build_toy, ToySource\n"
        "from pathlib import Path\n"
        "stop = lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done >= 4 else None\n"
        "if __name__ == '__main__':\n"
        "    build_toy(Path(sys.argv[1]), ToySource(9), workers=2, progress=stop)\n"
    )
    file = tmp_path / "script.py"
    file.write_text(script)
    out = tmp_path / "cut"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(file), str(out), str(HELPERS)],
        env=environment,
        check=False,
        timeout=120,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL
    build_toy(out, ToySource(9))
    build_toy(tmp_path / "whole", ToySource(9))
    assert bytes_of(out) == bytes_of(tmp_path / "whole")


def test_a_finished_build_is_not_done_again(tmp_path):
    assert build_toy(tmp_path).written == 5
    assert build_toy(tmp_path).written == 0


def test_another_configuration_is_refused(tmp_path):
    build_toy(tmp_path, options={"root": "/a"})
    with pytest.raises(ConfigError, match=r"root was '/a', now '/b'.*Give another --out"):
        build_toy(tmp_path, options={"root": "/b"})
    with pytest.raises(ConfigError, match="samples was 9, now 3"):
        build_toy(tmp_path, options={"root": "/a"}, limit=3)


def test_a_folder_with_other_shards_is_refused(tmp_path):
    (tmp_path / "mine.tar").write_bytes(b"")
    with pytest.raises(ConfigError, match="holds shards that this command did not build"):
        build_toy(tmp_path)


def test_a_folder_with_files_of_another_kind_is_refused(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(ConfigError, match=r"has other files \(images\).*Give another --out"):
        build_toy(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["images"]


def test_two_builds_in_one_folder_are_refused(tmp_path):
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is writing"):
            build_toy(tmp_path)


def test_bad_inputs_are_counted_and_named(tmp_path):
    report = build_toy(tmp_path, ToySource(9, bad=(0, 1, 4)))
    assert report.rejected == 3
    assert report.manifest.funnel == {"found": 9, "usable": 6}
    lines = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 4]
    assert lines[0] == {"index": 0, "where": "file0.jpg", "field": "source", "reason": "cannot be decoded"}
    shards = ShardSet.open(tmp_path)
    assert [shards.key(place) for place in range(6)] == ["k0002", "k0003", "k0005", "k0006", "k0007", "k0008"]
    assert shards.manifest.shards[0].name == "val-000001.tar"  # the first slice had none


def test_limit_takes_the_first_samples(tmp_path):
    report = build_toy(tmp_path, ToySource(9), limit=5)
    assert report.manifest.funnel == {"found": 9, "within the limit": 5, "usable": 5}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ToySource(0), "no sample found"),
        (ToySource(4, bad=(0, 1, 2, 3)), "none of the 4 samples can be used"),
        (ToySource(2, same_key=True), "key 'same' appears twice|two members"),
        (ToySource(6, same_key=True), "appears? twice|two members"),
        (ToySource(1), "no 'instances' in any of the 1 samples, but task keypoints needs them"),
    ],
)
def test_sets_that_cannot_be_used_have_no_manifest(tmp_path, source, reason):
    with pytest.raises(DataError, match=reason):
        build_toy(tmp_path, source)
    assert not (tmp_path / "manifest.json").exists()


def test_a_key_in_two_shards_is_refused(tmp_path):
    with pytest.raises(DataError, match="keys appear twice, such as 'same'"):
        build(ToySource(3, same_key=True), tmp_path, name="toy", split="val", shard_size=1)


@pytest.mark.parametrize("options", [{"workers": 0}, {"limit": 0}])
def test_numbers_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ConfigError, match="expected 1 or more"):
        build_toy(tmp_path, **options)
    with pytest.raises(ConfigError, match="names the shards"):
        build(ToySource(), tmp_path, name="toy", split="../val")


def test_an_output_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="file cannot be written: it is a file"):
        build_toy(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "deep")
    with pytest.raises(DataError, match="link cannot be written"):
        build_toy(tmp_path / "link")


@pytest.mark.faults
def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(DataError, match="cannot be written: No space left"):
        from idiff.utils import files

        real = files.os.fsync

        def full(descriptor):
            raise OSError(28, "No space left on device")

        files.os.fsync = full
        try:
            build_toy(tmp_path)
        finally:
            files.os.fsync = real
    assert not list(tmp_path.glob("*.tar")) and not list(tmp_path.glob(".*.tmp"))
    assert build_toy(tmp_path).written == 5
