"""`idiff data filter` as users call it: what is dropped and why, what is written, going on after a cut."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from shard_making import picture

from idiff.cli import main
from idiff.curation.quality import scores as scoring
from idiff.data.build.builder import build
from idiff.data.shards.reader import ShardSet
from idiff.data.sources.base import RawSample, Source
from idiff.utils.picture_files import encode_png


def grey(level, size=(12, 16)):
    return np.full((*size, 3), level, np.uint8)


class Pairs(Source):
    """Pairs of gray images of given levels; a level of None has no target."""

    tasks = ("editing",)

    def __init__(self, levels, prefix="p"):
        self.levels, self.prefix = levels, prefix

    def meta(self):
        return {}

    def __len__(self):
        return len(self.levels)

    def sample(self, index):
        first, second = self.levels[index]
        target = None if second is None else encode_png(grey(second))
        facts = {"instruction": f"é {index}"}
        return RawSample(f"{self.prefix}{index:03d}", encode_png(grey(first)), facts, target=target)


LEVELS = [(200, 220), (200, 90), (90, 200), (60, 60), (250, 250), (70, 250), (230, 240)]


def head(folder):
    """With two bins of a gray image: dark 1/2 each channel, light the other: score 4 if dark (< 128), 7 if light."""
    weight = torch.zeros(1, 8)
    weight[0, [0, 2, 4]] = 4 / 3**0.5
    weight[0, [1, 3, 5]] = 7 / 3**0.5
    save_file({"linear.weight": weight, "linear.bias": torch.zeros(1)}, folder / "head.safetensors")
    (folder / "features.yaml").write_text(
        "class_path: idiff.curation.quality.features.ColorStatistics\ninit_args: {bins: 2}"
    )
    return ["--features", str(folder / "features.yaml"), "--aesthetic", str(folder / "head.safetensors")]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    build(Pairs(LEVELS), tmp_path / "pairs", name="toy", split="train", shard_size=3)
    return head(tmp_path)


def dropped(folder):
    return {line["key"]: line for line in map(json.loads, (folder / "dropped.jsonl").read_text().splitlines())}


def test_low_targets_and_unequal_pairs_go(world, tmp_path, capsys):
    assert main(["data", "filter", "pairs", "--out", "good", *world]) == 0
    assert (
        "7 found -> 7 readable -> 5 aesthetic score of 5.5 or more -> 3 difference of 0.5 or less"
        in capsys.readouterr().out
    )
    good = tmp_path / "good"
    assert (good / "kept.txt").read_text().split() == ["p000", "p004", "p006"]
    lines = dropped(good)
    assert {key: line["reason"] for key, line in lines.items()} == {
        "p001": "aesthetic score below 5.5", "p003": "aesthetic score below 5.5",
        "p002": "aesthetic scores differ by more than 0.5", "p005": "aesthetic scores differ by more than 0.5",
    }  # fmt: skip
    assert lines["p002"] | {"where": ""} == {
        "key": "p002", "where": "", "reason": lines["p002"]["reason"], "source": 4.0, "target": 7.0
    }  # fmt: skip
    report = json.loads((good / "report.json").read_text())
    assert (report["samples"], report["kept"]) == (7, 3)
    assert report["dropped"] == {"aesthetic score below 5.5": 2, "aesthetic scores differ by more than 0.5": 2}
    assert report["thresholds"] == {"aesthetic": 5.5, "difference": 0.5, "giqa": None}
    assert report["scores"]["target"]["p100"] == pytest.approx(7)
    with Image.open(good / "histograms.png") as plot:
        assert plot.size == (1200, 300)


def test_thresholds_may_change_after_nothing_stayed(world, tmp_path, capsys):
    assert main(["data", "filter", "pairs", "--out", "good", *world, "--min-aesthetic", "9"]) == 2
    assert "none of the 7 samples stays" in capsys.readouterr().err
    assert main(["data", "filter", "pairs", "--out", "good", *world]) == 0
    assert len(ShardSet.open("good")) == 3


def test_a_folder_of_other_files_is_refused_before_scoring(world, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.png").write_bytes(b"")
    assert main(["data", "filter", "pairs", "--out", "photos", *world]) == 2
    assert "photos has other files (mine.png)" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["mine.png"]


def test_what_stays_is_a_set_with_the_same_files(world, tmp_path):
    assert main(["data", "filter", "pairs", "--out", "good", *world, "--shard-size", "2"]) == 0
    assert main(["data", "check", "good"]) == 0
    before, after = ShardSet.open("pairs"), ShardSet.open("good")
    assert [after.key(place) for place in range(3)] == ["p000", "p004", "p006"]
    for place, old in enumerate((0, 4, 6)):
        assert after.read_members(place) == before.read_members(old)
    assert (after.manifest.tasks, after.manifest.unit, after.manifest.split) == (["editing"], "picture", "train")
    assert after.manifest.funnel["usable"] == 3


def test_thresholds_are_options_and_scores_are_kept(world, tmp_path, capsys, monkeypatch):
    command = ["data", "filter", "pairs", *world, "--scores", "scores"]
    assert main([*command, "--out", "one"]) == 0
    monkeypatch.setattr(scoring, "_score_shard", None)  # nothing is scored a second time
    assert main([*command, "--out", "two", "--max-difference", "9"]) == 0
    assert (tmp_path / "two/kept.txt").read_text().split() == ["p000", "p002", "p004", "p005", "p006"]
    assert main([*command, "--out", "three", "--min-aesthetic", "0", "--max-difference", "9"]) == 0
    assert len((tmp_path / "three/kept.txt").read_text().split()) == 7
    assert main([*command, "--out", "one", "--max-difference", "9"]) == 2
    assert "one holds another build" in capsys.readouterr().err
    assert (tmp_path / "one/kept.txt").read_text().split() == ["p000", "p004", "p006"]
    assert main([*command, "--out", "four", "--min-aesthetic", "8"]) == 2
    assert "none of the 7 samples stays" in capsys.readouterr().err
    assert len(dropped(tmp_path / "four")) == 7


def test_scores_of_another_filter_are_refused(world, tmp_path, capsys):
    command = ["data", "filter", "pairs", *world, "--scores", "scores"]
    assert main([*command, "--out", "one"]) == 0
    save_file({"weight": torch.ones(1, 8), "bias": torch.zeros(1)}, tmp_path / "head.safetensors")
    assert main([*command, "--out", "two"]) == 2
    assert "holds scores of another filter: aesthetic differ" in capsys.readouterr().err


def test_giqa_drops_what_is_unlike_the_reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = [encode_png(picture(seed, 16, 16)) for seed in range(20)]

    class Noise(Pairs):
        def sample(self, index):
            return RawSample(f"n{index:03d}", noise[index], {})

    build(Noise([0] * 20), "reference", name="toy", split="train", shard_size=8)
    build(Pairs([(200, None), (10, None)]), "blank", name="toy", split="train")
    words = [*head(tmp_path)[:2], "--reference", "reference", "--neighbours", "3"]
    assert main(["data", "filter", "blank", "--out", "seen", *words]) == 0
    assert main(["data", "filter", "reference", "--out", "same", *words]) == 0
    blank, own = (json.loads((tmp_path / name / "report.json").read_text())["scores"] for name in ("seen", "same"))
    assert blank["giqa"]["p100"] < 10 < own["giqa"]["p0"]
    assert "difference" not in own and "target" not in own
    assert main(["data", "filter", "blank", "--out", "none", *words, "--min-giqa", "10"]) == 2
    assert main(["data", "filter", "reference", "--out", "all", *words, "--min-giqa", "10"]) == 0
    assert len(ShardSet.open("all")) == 20


def test_parts_on_many_machines_come_together(world, tmp_path, capsys):
    assert main(["data", "filter", "pairs", "--out", "whole", *world]) == 0
    command = ["data", "filter", "pairs", "--out", "parts", *world]
    assert main([*command, "--part", "1/2"]) == 0
    assert not (tmp_path / "parts/manifest.json").exists()
    assert [file.name for file in (tmp_path / "parts/scores").glob("*.npy")] == ["train-000001.tar.scores.npy"]
    assert main([*command, "--part", "0/2"]) == 0
    assert main([*command, "--workers", "2", "--shard-size", "1000"]) == 0
    for file in (tmp_path / "whole").rglob("*"):
        if file.is_file():
            assert (tmp_path / "parts" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes(), file


def test_unreadable_samples_are_dropped_by_name(world, tmp_path):
    path = tmp_path / "pairs/train-000001.tar"
    shards = ShardSet.open("pairs")
    content = bytearray(path.read_bytes())
    content[int(shards.rows(1)[1]["source"]["offset"]) + 5] ^= 255
    path.write_bytes(content)
    assert main(["data", "filter", "pairs", "--out", "good", *world]) == 0
    assert dropped(tmp_path / "good")["p004"]["reason"] == "cannot be read"
    assert (tmp_path / "good/kept.txt").read_text().split() == ["p000", "p006"]


def test_pictures_of_another_set_go(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    build(Pairs(LEVELS), "pairs", name="toy", split="train", shard_size=3)
    build(Pairs([(60, 1), (251, 1)], prefix="v"), "val", name="toy", split="val")
    assert main(["data", "overlap", "pairs", "val"]) == 1
    assert main(["data", "filter", "pairs", "--without", "val", "--out", "apart"]) == 0
    assert "7 found -> 6 not in val" in capsys.readouterr().out
    assert dropped(tmp_path / "apart")["p003"]["val"] == "val-000000.tar:v000"
    assert main(["data", "overlap", "apart", "val"]) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "nothing to filter by"),
        (["--features", "features.yaml"], "features alone are no score"),
        (["--without", "pairs", "--min-giqa", "1"], "--min-giqa needs --reference"),
        (["--without", "pairs", "--min-aesthetic", "1"], "--min-aesthetic needs --aesthetic"),
        (["--features", "no.yaml", "--aesthetic", "head.safetensors"], "cannot be read as YAML"),
        (["--features", "features.yaml", "--aesthetic", "no"], "no is missing"),
        (["--features", "features.yaml", "--aesthetic", "head.safetensors", "--part", "2/2"], "expected I/N"),
        (["--features", "features.yaml", "--aesthetic", "head.safetensors", "--max-difference", "-1"], "0 or more"),
        (["--without", "nowhere"], "nowhere: expected a folder of shards"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_2(world, tmp_path, capsys, words, reason):
    assert main(["data", "filter", "pairs", "--out", "x", *words]) == 2
    error = capsys.readouterr().err
    assert reason in error and "Traceback" not in error
    assert not (tmp_path / "x").exists()


@pytest.mark.faults
def test_a_killed_filter_goes_on(world, tmp_path):
    """SIGKILL while shards are scored; the next run scores the rest and writes what an uncut run writes."""
    script = (
        "import os, signal, sys\n"
        "from idiff.curation.quality import scores\n"
        "real = scores._score_shard\n"
        "def stop(shards, shard, *rest):\n"
        "    if shard == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(shards, shard, *rest)\n"
        "scores._score_shard = stop\n"
        "from idiff.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = ["data", "filter", "pairs", "--out", "cut", *world]
    done = subprocess.run([sys.executable, "-c", script, *command], check=False, timeout=120, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "cut/scores").glob("*.scores.npy"))) == 1
    assert main(command) == 0
    assert main(["data", "filter", "pairs", "--out", "whole", *world]) == 0
    for file in (tmp_path / "whole").rglob("*"):
        if file.is_file():
            assert (tmp_path / "cut" / file.relative_to(tmp_path / "whole")).read_bytes() == file.read_bytes(), file
