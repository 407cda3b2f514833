import json

import pytest
from PIL import Image
from scripts import load_script

from idiff.cli import main
from idiff.evaluation.measured_points import Point
from idiff.evaluation.task_slice import TaskSlice
from idiff.models.io.checkpoint import load
from idiff.models.io.preset_files import store_preset
from idiff.types import Sampling
from idiff.utils.presets import Preset

PRESET = Preset(
    steps=9, guidance_text=1.0, guidance_image=0.5, sampler="euler", rule="instructdiffusion", metric="psnr", score=None,
    evaluations=18, samples=1, data="x",
)  # fmt: skip


@pytest.fixture
def tool(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return load_script("tools/steps_curve.py")


def test_curves_of_two_tasks_at_the_guidance_of_their_presets(tool, tmp_path, monkeypatch, capsys):
    for task in ("denoise", "deblur"):
        words = ["--task", task, "--split", "val", "--count", "2", "--seed", "2", "--out", f"base/{task}/val"]
        assert main(["data", "build", "synthetic", *words]) == 0
    assert main(["export", "--checkpoint", "tiny", "--out", "model"]) == 0
    store_preset("model", "denoise", PRESET, sha256="")
    words = [
        "--checkpoint",
        "model",
        "--data",
        "base",
        "--tasks",
        "denoise",
        "deblur",
        "--limit",
        "1",
        "--steps",
        "2,1",
        "--out",
        "c",
    ]
    assert tool.main(words) == 0
    found = json.loads((tmp_path / "c/curve.json").read_text())
    assert found["checkpoint"]["sha256"] == load("model").sha256 and found["limit"] == 1
    denoise, deblur = found["tasks"]["denoise"], found["tasks"]["deblur"]
    assert (denoise["sampler"], denoise["guidance"]["text"]) == ("euler", 1.0)
    assert (deblur["sampler"], deblur["guidance"]["text"]) == ("ddim", 0.5)
    assert [point["evaluations_per_query"] for point in denoise["points"]] == [2, 4]
    assert [point["evaluations_per_query"] for point in deblur["points"]] == [1, 2]
    lines = (tmp_path / "c/table.md").read_text().splitlines()
    assert lines[0] == "| task | metric | 1 step | 2 steps |" and len(lines) == 4
    shown = [f"{point['metrics']['psnr']:.2f}" for point in deblur["points"]]
    assert lines[3] == f"| deblur | psnr | {' | '.join(shown)} |"
    with Image.open(tmp_path / "c/curve.png") as picture:
        assert picture.format == "PNG"

    slices = []
    monkeypatch.setattr(tool, "TaskSlice", lambda *args, **more: slices.append(TaskSlice(*args, **more)) or slices[-1])
    assert tool.main(words) == 0
    assert [one.fresh for one in slices] == [0, 0]  # everything was there
    assert json.loads((tmp_path / "c/curve.json").read_text()) == found
    capsys.readouterr()


def test_bad_input_is_one_sentence(tool, capsys):
    assert tool.main(["--checkpoint", "gone", "--out", "c"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("gone is missing") and "Traceback" not in said


def point(steps, metrics):
    return Point(Sampling(steps=steps), metrics, steps, 0.1, samples=1, queries=1, device="cpu")


def test_curves_and_table_of_a_card_have_all_step_counts(tool, tmp_path):
    curves = {
        "seg": [point(steps, {"miou": 0.5 + steps / 100}) for steps in (1, 2)],
        "blur": [point(2, {"psnr": 21.239}), point(8, {"psnr": None})],
    }
    metrics = {"seg": "miou", "blur": "psnr"}
    assert tool.markdown(curves, metrics).splitlines() == [
        "| task | metric | 1 step | 2 steps | 8 steps |",
        "| --- | --- | --- | --- | --- |",
        "| seg | miou | 0.5100 | 0.5200 | - |",
        "| blur | psnr | - | 21.24 | - |",
    ]
    tool.draw_curves(curves, metrics, tmp_path / "c.png", title="c")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.size[0] > 300 and len(set(picture.convert("L").getdata())) > 10
