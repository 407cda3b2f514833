"""`tools/make_base.py`: pieces, and training on a GPU with the batches of all ranks."""

import time

import pytest
import torch
from scripts import load_script
from small_models import ROOT


@pytest.fixture
def base(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return load_script("tools/make_base.py")


@pytest.mark.parametrize(("name", "batch"), [("base_tasks_muon", "40"), ("base_tasks_long", "24"), ("base_text", "64")])
def test_one_gpu_has_the_batch_of_all_ranks(base, name, batch):
    words = base.on_gpu(name)
    given = dict(zip(words[::2], words[1::2], strict=True))
    assert given["--data.batch_size"] == batch
    assert given["--trainer.accelerator"] == "gpu" and given["--trainer.devices"] == "1"


def test_the_mean_of_two_models_lies_between_them(base, tmp_path):
    last, before = (base.load(name).backbone.unet.state_dict() for name in ("tiny-aligned", "tiny-tasks"))
    folder = base.mean_of(tmp_path / "mean", "tiny-aligned", "tiny-tasks", 0.75)
    mean = base.load(folder).backbone.unet.state_dict()
    assert any(not torch.equal(last[name], before[name]) for name in last)
    for name, weights in mean.items():
        torch.testing.assert_close(weights, 0.75 * last[name] + 0.25 * before[name])


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_a_piece_takes_some_time(base, capsys, minutes):
    with pytest.raises(SystemExit):
        base.main(["--minutes", minutes])
    assert "expected more than 0" in capsys.readouterr().err


def test_a_piece_stops_when_its_time_is_over_and_goes_on(base, tmp_path, capfd):
    words = ["data", "build", "synthetic", "--task", "segmentation", "--split", "train", "--seed", "1", "--count"]
    out = tmp_path / "set"
    base.Piece.ends = time.monotonic()
    with pytest.raises(SystemExit) as stopped:
        base.idiff(*words, "4", "--out", str(out))
    assert stopped.value.code == base.UNFINISHED and "the same command goes on" in capfd.readouterr().out
    assert not (out / "manifest.json").exists()
    base.Piece.ends = time.monotonic() + 100
    base.idiff(*words, "4", "--out", str(out))
    assert (out / "manifest.json").exists()
