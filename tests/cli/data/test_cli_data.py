"""`idiff data ...` as users call it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from shard_making import SKELETONS, instance, members, write_tar

from idiff.cli import main
from idiff.curation.browse import GAP, LINE, PANEL

BUILD = ["data", "build", "synthetic", "--split", "val", "--count", "12", "--seed", "3"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "set"
    assert main([*BUILD, "--task", "segmentation", "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("words", [["--help"], ["sources"], ["build", "--help"]])
def test_help_loads_nothing_heavy(words):
    script = (
        "import sys; from idiff.cli import main; code = main(['data', *sys.argv[1:]]); "
        "sys.exit(code or 3 * bool({'torch', 'lightning', 'webdataset', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stdout or "build" in done.stdout


def test_sources_are_listed_with_their_layout(capsys):
    assert main(["data", "sources"]) == 0
    text = capsys.readouterr().out
    assert "coco-stuff\n    images/{split}/" in text
    assert "labels.txt" in text


def test_build_says_what_it_did(tmp_path, capsys):
    command = [*BUILD, "--task", "keypoints", "--limit", "5", "--shard-size", "3", "--out", str(tmp_path / "set")]
    assert main(command) == 0
    assert "12 found -> 5 within the limit -> 5 usable" in capsys.readouterr().out
    assert main(command) == 0
    assert "already there, nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*BUILD, "--task", "segmentatoin", "--out", "x"], "did you mean 'segmentation'"),
        ([*BUILD, "--task", "segmentation", "--root", "y", "--out", "x"], "takes no --root"),
        (["data", "build", "coco-stuff", "--root", "nowhere", "--split", "val", "--out", "x"], "is missing"),
        (["data", "build", "coco-stuff", "--split", "val", "--out", "x"], "needs --root"),
        (["data", "build"], "required"),
        (["data", "biuld"], "invalid choice"),
        (["data", "check", "nowhere"], "expected a folder of shards"),
        (["data", "stats", "nowhere"], "expected a folder of shards"),
        (["data", "browse", "nowhere", "--out", "x.png"], "expected a folder of shards"),
        (["data", "browse", "nowhere", "--out", "joints.json"], "--out joints.json: expected a file named *.png"),
        (["data", "index", "nowhere"], "expected a folder of"),
        ([*BUILD, "--task", "segmentation", "--out", "x", "--workers", "0"], "expected 1 or more"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(words, reason, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error
    assert not (tmp_path / "x").exists()


def test_check_names_shard_and_key(drawn, tmp_path, capsys):
    assert main(["data", "check", str(drawn)]) == 0
    assert "sound" in capsys.readouterr().out
    for file in drawn.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "val-000000.tar"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    assert main(["data", "check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "val-000000.tar: SHA-256 differs" in text
    assert "val-000000.tar:0000000" in text or "damaged or cut at byte" in text


def test_stats_count_what_is_there(drawn, capsys):
    from idiff.data.shards.reader import ShardSet

    assert main(["data", "stats", str(drawn), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["samples"], value["items"], value["unit"]) == (12, 12, "picture")
    assert value["pictures"]["width"] == {"smallest": 64, "median": 64.0, "largest": 64}
    shards = ShardSet.open(drawn)
    labels = np.stack([shards.read(place).label for place in range(12)])
    for number, (name, facts) in enumerate(value["classes"].items()):
        assert name == shards.meta["classes"][number]
        assert facts["pixel_share"] == pytest.approx((labels == number).mean(), abs=1e-5)
        assert facts["pictures"] == (labels == number).any(axis=(1, 2)).sum()
    assert value["difficulty"]["kinds"] >= 1
    assert main(["data", "stats", str(drawn)]) == 0
    assert "background: pixel_share 0." in capsys.readouterr().out


def test_stats_count_joints(tmp_path, capsys):
    (tmp_path / "meta.json").write_text(json.dumps({"skeletons": SKELETONS}))
    write_tar(tmp_path / "x.tar", [*members("a", instances=[instance(0), instance(1)]), *members("b")])
    assert main(["data", "index", str(tmp_path), "--meta", str(tmp_path / "meta.json")]) == 0
    assert "tasks keypoints" in capsys.readouterr().out
    assert main(["data", "stats", str(tmp_path), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["instances"] == {"face": 2}
    assert value["joints"]["face"]["chin"] == {"unlabelled": 0, "hidden": 2, "visible": 0}
    assert value["joints"]["face"]["nose"] == {"unlabelled": 0, "hidden": 0, "visible": 2}


def test_browse_draws_a_sheet(drawn, tmp_path, capsys):
    first, again, other = (tmp_path / f"{name}.png" for name in "abc")
    for path, seed in ((first, 0), (again, 0), (other, 1)):
        assert main(["data", "browse", str(drawn), "--out", str(path), "--count", "7", "--seed", str(seed)]) == 0
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()
    sheet = np.asarray(Image.open(first))
    assert sheet.shape[1] == 6 * (PANEL + GAP)
    for panel in range(3):  # what is known, the model's source, its target
        inside = sheet[LINE + 20 : LINE + PANEL - 20, panel * (PANEL + GAP) + 20 : (panel + 1) * (PANEL + GAP) - 20]
        assert (inside.std(axis=(0, 1)) > 5).all()
    assert main(["data", "browse", str(drawn), "--out", str(tmp_path / "no" / "x.png")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_index_needs_a_purpose(tmp_path, capsys):
    write_tar(tmp_path / "x.tar", members("a"))
    assert main(["data", "index", str(tmp_path)]) == 2
    assert "Give --task" in capsys.readouterr().err
    assert main(["data", "index", str(tmp_path), "--task", "editing", "--split", "test"]) == 0
    assert json.loads((tmp_path / "manifest.json").read_text())["tasks"] == ["editing"]
