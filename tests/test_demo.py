import importlib.util
import json

import pytest
import yaml
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
    short = {
        "adaptation": {"trainer": {"max_steps": 1}},
        "tasks": {
            "trainer": {"max_steps": 2, "val_check_interval": 2, "devices": 1, "strategy": "auto"},
            "data": {"init_args": {"val_samples": 2}},
        },
        "alignment": {
            "trainer": {"max_epochs": 1, "check_val_every_n_epoch": 1},
            "data": {"init_args": {"val_samples": 2}},
        },
    }
    build = "data build synthetic --task {0} --split {1} --count {2} --seed {2} --out {{folder}}/data/{0}/{1}"
    for name in ("segmentation", "keypoints"):
        short[name] = {"command": build.format(name, "train", 40)}
        short[f"{name}-val"] = {"command": build.format(name, "val", 4)}
    short["segmentation-asked"] = {"command": build.format("segmentation", "asked", 2)}
    generate = (
        "align generate --checkpoint {tasks} --data {segmentation-asked} --out {folder}/candidates --candidates 3"
    )
    short["candidates"] = {"command": generate}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(short))
    demo.main(["--out", str(out), "--tiny", "2", "--over", str(tmp_path / "short.yaml")])
    card = json.loads((out / "card.json").read_text())
    assert card["steps"] == 2
    assert 0 < card["minutes"] < 10
    for moment in ("before", "stage_2", "after"):
        assert set(card[moment]) == {"segmentation", "keypoints"}
        assert 0 <= card[moment]["segmentation"]["miou"] <= 1
        assert {"ap", "pck", "pck05"} <= set(card[moment]["keypoints"])
    assert Image.open(out / "grid.png").width > 600
    assert list((out / "tasks").glob("events.out.tfevents.*"))
    assert set(card["tiny"]) == {"segmentation", "keypoints"}
    shown = capsys.readouterr().out
    assert "before" in shown
    assert "$ idiff run" in shown
