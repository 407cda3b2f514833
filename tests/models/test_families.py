"""Families of published models: what each is asked for, and how one is told from another."""

import pytest

from idiff.errors import ConfigError
from idiff.models.families import families, find_family
from idiff.tasks.saved import restore_task

PUBLISHED = {
    ("instructdiffusion", "referring"): (7.5, 1.5),
    ("instructdiffusion", "segmentation"): (7.5, 1.5),
    ("instructdiffusion", "keypoints"): (6.0, 0.5),
    ("instructdiffusion", "editing"): (5.0, 1.25),
    ("instructdiffusion", "dewatermark"): (1.0, 1.0),
    ("instructpix2pix", "editing"): (7.5, 1.5),
}


@pytest.mark.parametrize(("family", "task"), PUBLISHED, ids="-".join)
def test_presets_are_the_published_ones(family, task):
    preset = families()[family].presets[task]
    assert (preset.guidance_text, preset.guidance_image) == PUBLISHED[family, task]
    assert (preset.steps, preset.sampler, preset.rule) == (100, "euler_ancestral", family)
    assert families()[family].objective.spacing == "linspace"


@pytest.mark.parametrize("name", ["instructdiffusion", "instructpix2pix", "sd15"])
def test_every_task_of_a_family_can_be_made(name):
    family = families()[name]
    for task in family.tasks:
        choice = restore_task({"tasks": family.tasks}, task, data="", changes={}, presets=family.presets)
        assert choice.task.kind == task
        assert choice.preset is family.presets[task]


def test_colors_are_the_authors_own():
    tasks = families()["instructdiffusion"].tasks
    masks, joints = (
        restore_task({"tasks": tasks}, name, data="", changes={}).task.colors for name in ("referring", "keypoints")
    )
    assert masks["green"] == (0, 128, 0)
    assert joints["green"] == (0, 255, 0)


def told(wanted="auto", *, channels=2, name="x.ckpt", hints=()):
    return find_family(wanted, channels=channels, name=name, hints=hints, origin=name)[0].name


def test_channels_name_layout_and_class_tell():
    assert told(channels=1) == "sd15"
    assert told(name="v1-5-pruned-emaonly-adaption-task-humanalign.ckpt") == "instructdiffusion"
    assert told(name="instruct-pix2pix-00-22000.ckpt") == "instructpix2pix"
    assert told(name="state.pth", hints=["training state"]) == "instructdiffusion"
    assert told(name="model", hints=["StableDiffusionInstructPix2PixPipeline"]) == "instructpix2pix"
    assert told(name="InstructDiffusion", hints=["StableDiffusionInstructPix2PixPipeline"]) == "instructdiffusion"
    assert told("instructpix2pix", name="InstructDiffusion") == "instructpix2pix"


def test_what_nothing_tells_is_not_guessed():
    with pytest.raises(ConfigError, match="give --family instructdiffusion or instructpix2pix"):
        told(name="model.ckpt")
    with pytest.raises(ConfigError, match="4 input channels"):
        told("sd15")
