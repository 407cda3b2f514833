"""`idiff tune` as a shell sees it, and the commands that use what it stored."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from PIL import Image

from idiff import Pipeline
from idiff.cli import main
from idiff.evaluation.measure import Painting, measure
from idiff.metrics.pareto import pareto_front
from idiff.models.io.checkpoint import load

WORDS = ["--limit", "2", "--text", "0.5,1", "--image", "0.5", "--steps", "1,2", "--samplers", "ddim,euler"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Drawn scenes, and `tiny` as a folder of one's own."""
    folder = tmp_path_factory.mktemp("tune")
    for task in ("denoise", "referring"):
        words = ["--task", task, "--split", "val", "--count", "3", "--seed", "2", "--out", str(folder / task)]
        assert main(["data", "build", "synthetic", *words]) == 0
    assert main(["export", "--checkpoint", "tiny", "--out", str(folder / "model")]) == 0
    return folder


@pytest.fixture
def here(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("denoise", "referring"):
        Path(name).symlink_to(home / name)
    shutil.copytree(home / "model", "model")
    description = json.loads(Path("model/idiff.json").read_text())
    Path("model/idiff.json").write_text(json.dumps(description | {"presets": {}}))  # the model that ships has its own
    return tmp_path


def tune(data, out, *more):
    code = main(["tune", "--checkpoint", "model", "--data", data, "--out", out, *WORDS, *more])
    return code, json.loads(Path(out).read_text())


def evaluate(data, *more):
    words = ["--limit", "2", "--bootstrap", "0", "--out", "card.json"]
    assert main(["evaluate", "--checkpoint", "model", "--data", data, *words, *more]) == 0
    return json.loads(Path("card.json").read_text())


@pytest.fixture
def measured(monkeypatch):
    """What is measured, setting by setting."""
    asked = []

    def watched(trainer, painting, choice, **more):
        asked.append((choice.sampling.steps, choice.sampling.sampler, choice.sampling.guidance_text))
        return measure(trainer, painting, choice, **more)

    monkeypatch.setattr("idiff.evaluation.task_slice.measure", watched)
    return asked


def test_it_measures_chooses_stores_and_goes_on(here, measured, capsys, monkeypatch):
    rendered = []
    monkeypatch.setattr(Painting, "render", lambda self, pictures: rendered.append(len(pictures)))
    code, found = tune("denoise", "t.json", "--store")
    assert code == 0
    assert measured[:2] == [(1, "ddim", 0.5), (1, "ddim", 1.0)]
    chosen = found["guidance"]["guidance_text"]
    assert measured[2:] == [(2, "ddim", chosen), (2, "euler", chosen)]
    assert rendered == []  # truths never go through the autoencoder
    points = found["points"]
    assert [one["evaluations_per_query"] for one in points[:2]] == [1, 2]
    assert all(one["metrics"]["psnr"] > 10 and one["seconds_per_query"] > 0 for one in points)
    costs, scores = [p["evaluations_per_query"] for p in points], [p["metrics"]["psnr"] for p in points]
    assert found["front"] == pareto_front(costs, scores)
    enough = [place for place, score in enumerate(scores) if score >= max(scores) - 0.01 * 50]
    assert costs[found["chosen"]] == min(costs[place] for place in enough)
    preset = found["preset"]
    assert preset["score"] == scores[found["chosen"]] and preset["data"] == found["data"]["fingerprint"]
    assert load("model").presets["denoise"].describe() == preset
    with Image.open("t.png") as picture:
        assert picture.format == "PNG"
    said = capsys.readouterr().out
    assert "4 settings measured, 0 were there" in said and "stored in model/idiff.json" in said

    before = list(measured)
    assert tune("denoise", "t.json")[0] == 0
    assert measured == before and "0 settings measured, 4 were there" in capsys.readouterr().out
    assert tune("denoise", "t.json", "--steps", "1,2,3", "--samplers", "ddim")[1]["points"][:4] == points
    assert measured == [*before, (3, "ddim", chosen)]


def test_it_ends_at_sigterm_and_goes_on_where_it_was(here, measured, monkeypatch, capsys):
    paint = Painting.paint

    def terminated(self, batch):
        if len(measured) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return paint(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Painting, "paint", terminated)
        code, kept = tune("denoise", "t.json")
    assert code == 143 and len(kept["points"]) == 2 and "preset" not in kept
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert tune("denoise", "t.json")[0] == 0
    assert "2 settings measured, 2 were there" in capsys.readouterr().out


def test_the_scores_are_those_of_evaluate(here):
    _, found = tune("referring", "t.json", "--text", "0.5", "--steps", "2", "--samplers", "ddim")
    card = evaluate("referring", "--steps", "2")
    two = next(point for point in found["points"] if point["sampling"]["steps"] == 2)
    assert two["metrics"] == card["metrics"]
    assert (two["samples"], two["queries"]) == (card["samples"], card["queries"])
    assert two["evaluations_per_query"] == card["evaluations_per_query"]


def test_commands_use_a_preset_and_words_win(here):
    assert evaluate("denoise")["preset"] is False
    preset = {"steps": 2, "guidance_text": 1.0, "guidance_image": 0.5, "sampler": "euler", "rule": "instructdiffusion"}
    words = ["--text", "1", "--steps", "2", "--samplers", "euler", "--guidance-steps", "2", "--store"]
    assert tune("denoise", "t.json", *words)[0] == 0
    card = evaluate("denoise")
    assert card["preset"] is True and {"steps": card["steps"]} | card["guidance"] == preset | {"stop_unchanged": None}
    assert card["evaluations_per_query"] == 4
    card = evaluate("denoise", "--steps", "1")
    assert (card["preset"], card["steps"], card["guidance"]["sampler"]) == (False, 1, "euler")
    card = evaluate("denoise", "--no-preset")
    assert (card["preset"], card["steps"], card["guidance"]["sampler"]) == (False, 1, "ddim")
    assert main(["export", "--checkpoint", "model", "--out", "again"]) == 0
    assert load("again").presets == load("model").presets != {}
    for words, expected in (({}, (2, 1.0, "euler")), ({"steps": 1}, (1, 1.0, "euler"))):
        asked, seen = Pipeline("again", **words), []
        edit = asked.backbone.edit
        asked.backbone.edit = lambda *args, sampling, _edit=edit, _seen=seen, **more: (
            _seen.append(sampling) or _edit(*args, sampling=sampling, **more)
        )
        asked.restore("example:objects", "denoise")
        assert seen and all((one.steps, one.guidance_text, one.sampler) == expected for one in seen)


def test_a_checkpoint_of_a_training_gets_its_presets_beside_it(here, capsys):
    loaded = load("model")
    state = {f"backbone.{name}": value for name, value in loaded.backbone.state_dict().items()}
    content = {"state_dict": state, "backbone": loaded.backbone.describe(), "global_step": 1, "config": loaded.config}
    torch.save(content, "last.ckpt")
    words = ["--checkpoint", "last.ckpt", "--text", "1", "--steps", "1", "--store"]
    assert tune("denoise", "t.json", *words)[0] == 0
    assert "stored in presets.json" in capsys.readouterr().out
    card = evaluate("denoise", "--checkpoint", "last.ckpt")
    assert card["preset"] is True and card["guidance"]["guidance_text"] == 1.0
    torch.save(content | {"global_step": 2}, "last.ckpt")  # the training went on
    card = evaluate("denoise", "--checkpoint", "last.ckpt")
    assert card["preset"] is False and card["guidance"]["guidance_text"] == 0.5


def test_points_of_another_checkpoint_are_refused_and_kept(here, capsys):
    assert tune("denoise", "t.json", "--text", "0.5", "--steps", "1")[0] == 0
    content = json.loads(Path("t.json").read_text())
    content["checkpoint"]["sha256"] = "0" * 64
    Path("t.json").write_text(json.dumps(content))
    capsys.readouterr()
    code, kept = tune("denoise", "t.json")
    error = capsys.readouterr().err.strip()
    assert code == 2 and "checkpoint was 000000000000" in error and "Traceback" not in error and "\n" not in error
    assert kept == content
    assert main(["tune", "--checkpoint", "model", "--data", "referring", "--out", "t.json", *WORDS]) == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--samplers", "ddim,eulr"], "unknown sampler 'eulr'; did you mean 'euler'?"),
        (["--steps", "0"], "expected whole numbers of 1 or more"),
        (["--text", "x"], "expected numbers with commas between"),
        (["--budget", "1", "--guidance-steps", "2"], "--budget 1 allows no guidance at 2 steps: the cheapest takes 2"),
        (["--device", "nowhere"], "--device nowhere cannot be used"),
        (["--checkpoint", "tiny", "--store"], "'tiny' comes with the package"),
        (["--checkpoint", "gone"], "gone is missing"),
        (["--task", "denois"], "did you mean 'denoise'"),
        (["--data", "gone"], "gone/manifest.json cannot be read"),
        (["--out", "gone/t.json"], "--out gone/t.json cannot be written"),
        (["--out", "t.png"], "expected a JSON file"),
    ],
)
def test_bad_words_are_one_sentence_and_nothing_is_measured(here, measured, capsys, change, says):
    assert main(["tune", "--checkpoint", "model", "--data", "denoise", "--out", "t.json", *WORDS, *change]) == 2
    error = capsys.readouterr().err.strip()
    assert says in error and "Traceback" not in error and "\n" not in error
    assert measured == [] and not Path("t.json").exists() and load("model").presets == {}
