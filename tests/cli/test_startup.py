"""A process that answers loads what answering needs, and no more."""

import json
import subprocess
import sys

import pytest
from small_models import ROOT

from idiff.cli import answer

UNUSED = (
    "lightning", "torchmetrics", "scipy", "matplotlib", "pycocotools.coco", "webdataset", "albumentations", "jsonargparse",
    "tensorboard", "peft",
)  # fmt: skip


def loaded(script):
    """Modules of `UNUSED` that a process has loaded in the end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys; print([name for name in {UNUSED!r} if name in sys.modules])"],
        capture_output=True, text=True, check=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "example:objects", "the red star"],
        ["keypoints", "example:figure", "left hand"],
        ["edit", "example:objects", "Make the red star blue."],
        ["restore", "example:noisy", "denoise"],
    ],
    ids=lambda words: words[0],
)
def test_a_command_that_answers_loads_none_of_these(words, tmp_path):
    words = [*words, "--device", "cpu", "--out", str(tmp_path)]
    assert loaded(f"from idiff.cli import main; assert main({words!r}) == 0") == "[]"
    assert any(tmp_path.iterdir())


def test_a_pipeline_loads_only_what_its_libraries_do():
    """In a caller's process nothing is kept from diffusers and transformers, which load scipy and peft where they are installed."""
    script = (
        "from idiff import Pipeline; Pipeline('tiny', device='cpu').edit('example:objects', 'Make the red star blue.')"
    )
    alone = "from diffusers import AutoencoderKL, UNet2DConditionModel\nfrom transformers import CLIPTextModel, CLIPTokenizer"
    assert loaded(script) == loaded(alone)


def test_what_was_left_out_does_not_change_an_answer(tmp_path):
    """The same bytes come from a process that loads scipy and peft first."""
    answers = []
    for first in ("", "import peft, scipy.optimize; "):
        words = [
            "segment",
            "example:objects",
            "the red star",
            "--device",
            "cpu",
            "--out",
            str(tmp_path / str(len(first))),
        ]
        loaded(f"{first}from idiff.cli import main; assert main({words!r}) == 0")
        files = sorted((tmp_path / str(len(first))).iterdir())
        answers.append([(file.name, file.read_bytes()) for file in files])
    assert answers[0] == answers[1]
    assert json.loads(dict(answers[0])["objects_segment.json"])


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        ([], ["scipy", "peft"]),
        (["--checkpoint", "runs/mine/checkpoints/best.ckpt"], ["scipy"]),
        (["--sampler", "ddim"], ["scipy", "peft"]),
        (["--sampler", "mine.sample"], []),
        (["--trust"], []),
    ],
)
def test_code_of_others_and_adapters_have_everything(words, unused):
    options = answer.parser("segment").parse_intermixed_args(["a.png", "a star", *words])
    assert answer._unused(options) == unused
