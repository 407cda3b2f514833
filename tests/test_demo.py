import importlib.util
import json

import pytest
from PIL import Image
from small_models import ROOT


@pytest.fixture
def demo(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("demo", ROOT / "tools" / "demo.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_demo_runs_from_nothing_and_writes_its_card(demo, tmp_path, capsys):
    out = tmp_path / "run"
    short = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--data.init_args.val_samples", "2"]
    short += ["--trainer.devices", "1", "--trainer.strategy", "auto"]
    demo.main(["--out", str(out), "--scenes", "40", "--tiny", "2", *short])
    card = json.loads((out / "card.json").read_text())
    assert card["steps"] == 2
    assert 0 < card["minutes"] < 10
    for moment in ("before", "after"):
        assert set(card[moment]) == {"segmentation", "keypoints"}
        assert 0 <= card[moment]["segmentation"]["miou"] <= 1
        assert {"ap", "pck", "pck05"} <= set(card[moment]["keypoints"])
    assert Image.open(out / "grid.png").width > 600
    assert list(out.glob("events.out.tfevents.*"))
    assert set(card["tiny"]) == {"segmentation", "keypoints"}
    shown = capsys.readouterr().out
    assert "before" in shown
    assert "$ idiff data build synthetic" in shown
