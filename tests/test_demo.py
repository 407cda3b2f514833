import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from scripts import load_script

from idiff.callbacks.records import append_results
from idiff.callbacks.scoring import Score


@pytest.fixture
def demo(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return load_script("tools/demo.py")


def test_the_card_shows_every_stage_beside_tiny(demo, tmp_path, monkeypatch, capsys):
    ran = []

    def fake(*words):
        ran.append(words)
        if words[0] == "run":
            for folder, figures in {"tasks": {0: 0.1, 7: 0.2}, "alignment": {9: 0.3}}.items():
                (tmp_path / "run" / folder / "samples").mkdir(parents=True)
                for step, value in figures.items():
                    scores = {"segmentation": Score({"miou": value}), "keypoints": Score({"ap": value / 2})}
                    append_results(tmp_path / "run" / folder, scores, step=step)
            for task in demo.TASKS:
                Image.new("RGB", (40, 30)).save(tmp_path / "run" / "alignment" / "samples" / f"{task}_0000009.png")
        else:
            Path(words[words.index("--out") + 1]).write_text(json.dumps({"metrics": {"miou": 0.9, "ap": None}}))

    monkeypatch.setattr(demo, "idiff", fake)
    demo.main(["--out", str(tmp_path / "run"), "--set", "tasks.trainer.max_steps=7"])
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["before"] == {"segmentation": {"miou": 0.1}, "keypoints": {"ap": 0.05}}
    assert (card["stage_2"]["segmentation"]["miou"], card["after"]["segmentation"]["miou"], card["steps"]) == (
        0.2,
        0.3,
        7,
    )
    assert card["tiny"]["segmentation"]["miou"] == 0.9
    assert Image.open(tmp_path / "run" / "grid.png").size == (80, 30)
    assert ran[0][:2] == ("run", str(demo.EXPERIMENT)) and ran[0][-1] == "tasks.trainer.max_steps=7"
    assert "stage 3" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(900)
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
    short["segmentation-asked"] = {"command": build.format("segmentation", "asked", 4)}
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
