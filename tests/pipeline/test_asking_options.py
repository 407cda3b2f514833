"""How a model is asked otherwise than it says: steps, sampler, guidance, size, presets; the same in Python and in commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from idiff.cli import main
from idiff.errors import ConfigError
from idiff.models.io.export import write_folder
from idiff.pipeline import Pipeline
from idiff.pipeline.choosing import choose_task
from idiff.sampling import Sampling
from idiff.tasks.asking import Asking
from idiff.utils.presets import Preset

TASK = {"class_path": "idiff.tasks.ReferringSegmentation", "init_args": {"size": 64}}
EDIT = {"class_path": "idiff.tasks.InstructEditing", "init_args": {"size": 64, "frame": "native64"}}
STORED = Preset(3, 2.0, 0.5, "euler", "instructdiffusion", "ciou", 0.5, 6.0, 10, "abc")


@pytest.fixture
def folder(backbone, tmp_path):
    """An exported model with a stored preset for one of its two tasks."""
    tasks = {"phrases": {"task": TASK, "sampling": {"steps": 2}}, "edits": {"task": EDIT, "sampling": {"steps": 2}}}
    write_folder(backbone, tmp_path / "model", config={"tasks": tasks}, step=0, presets={"phrases": STORED})
    return tmp_path / "model"


def asked(folder, kind="referring", **options):
    pipe = Pipeline(folder, **options)
    return choose_task(pipe.loaded, pipe.asking, kind)


def test_presets_by_name(folder):
    assert (asked(folder).sampling.steps, asked(folder).sampling.sampler) == (3, "euler")
    assert asked(folder, preset="stored").sampling == asked(folder).sampling
    assert asked(folder, preset="training").sampling == Sampling(steps=2)
    paper = asked(folder, preset="paper").sampling
    assert (paper.steps, paper.sampler, paper.guidance_text, paper.guidance_image) == (100, "euler_ancestral", 7.5, 1.5)
    assert asked(folder, "editing", preset="quick").sampling.guidance_text == 5.0
    with pytest.raises(ConfigError, match="the model has none for the task 'editing'"):
        asked(folder, "editing", preset="stored")


def test_single_settings_go_over_a_preset(folder):
    got = asked(folder, preset="paper", steps=7, sampler="ddim", guidance_text=1.0, guidance_image=0.25).sampling
    assert (got.steps, got.sampler, got.guidance_text, got.guidance_image) == (7, "ddim", 1.0, 0.25)


def test_size_is_an_argument_of_the_task(folder):
    assert asked(folder, size=128).task.size == 128
    with pytest.raises(ConfigError, match="size 100 is no multiple of 8"):
        asked(folder, size=100)
    assert asked(folder, "editing", size=100).task.size == 100  # native sizes are multiples of 64 anyway


@pytest.mark.parametrize(("shape", "painted"), [((90, 160), (128, 192)), ((64, 64), (128, 128))])
def test_answers_lie_on_images_of_any_shape(folder, monkeypatch, shape, painted):
    """A model that returns its source: what comes back is the image, and what was not seen is the image to the bit."""
    pipe, sizes = Pipeline(folder, size=128, steps=1), []

    def same(source, instruction, *, sampling, seeds, side=64):
        sizes.append(tuple(source.shape[2:]))
        return source

    monkeypatch.setattr(pipe.backbone, "edit", same)
    monkeypatch.setattr(pipe.backbone.autoencoder, "render", lambda pixels: pixels)
    x, y = np.meshgrid(np.linspace(0, 250, shape[1]), np.linspace(0, 250, shape[0]))
    picture = np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8)
    overlay = pipe.edit(picture, "Make it blue.").overlay
    assert sizes == [painted] and overlay.shape == picture.shape
    assert np.abs(overlay.astype(float) - picture).max() <= 2


@pytest.mark.parametrize(
    ("options", "said"),
    [({"steps": 0}, "steps"), ({"sampler": "eulr"}, "did you mean 'euler'"), ({"preset": "papr"}, "did you mean 'paper'"),
     ({"dtype": "float8"}, "unknown dtype 'float8'"), ({"device": "gpu"}, "device gpu"), ({"size": 4}, "size"),
     ({"guidance_text": float("nan")}, "guidance_text")],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_loaded(options, said):
    with pytest.raises(ConfigError, match=said):
        Pipeline("no such model", **options)


def test_the_processor_is_used_where_there_is_no_gpu(folder):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("there is one")
    assert Pipeline(folder).device.type == Pipeline(folder, device="auto").device.type == "cpu"


def test_commands_take_the_same_options(folder, tmp_path, monkeypatch, capsys, shards):
    monkeypatch.chdir(tmp_path)
    words = ["--checkpoint", str(folder), "--device", "cpu", "--dtype", "float32", "--preset", "paper", "--steps", "1"]
    more = ["--guidance-text", "1", "--guidance-image", "0.5", "--sampler", "ddim", "--size", "72"]
    assert main(["segment", "example:objects", "the red star", *words, *more]) == 0
    assert Path("answers/objects_segment.png").is_file()
    task = tmp_path / "task.yaml"
    task.write_text("task: {class_path: SemanticSegmentation}\nsampling: {steps: 2}\n")
    data = ["--data", str(shards / "segmentation" / "val"), "--task", str(task), "--limit", "1", "--bootstrap", "0"]
    assert main(["evaluate", *words, *more, *data, "--out", "card.json"]) == 0
    card = json.loads(Path("card.json").read_text())
    assert (card["steps"], card["guidance"]["sampler"], card["guidance"]["guidance_text"]) == (1, "ddim", 1.0)
    assert card["evaluations_per_query"] == 2
    capsys.readouterr()
    assert main(["edit", "example:objects", "Make it blue.", "--checkpoint", str(folder), "--device", "cuda:9"]) == 2
    assert "device cuda:9 cannot be used" in capsys.readouterr().err


def test_defaults_change_nothing():
    assert Asking().changes == {} and Asking().presets({"a": STORED}) == {"a": STORED}
