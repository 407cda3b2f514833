"""Every setting is checked where it is made: a wrong one is a ConfigError that names it, what was got and what is expected."""

import re
from typing import Literal, get_args, get_origin

import pytest
from small_models import AUTOENCODER, TEXT, UNET

import idiff.tasks
from idiff.callbacks import BestCheckpoint, Evaluate, KeepLast, ProgressLines, WeightAverage
from idiff.callbacks.benchmark import Benchmark
from idiff.checks import check_choice, check_number
from idiff.config import sections
from idiff.data.datamodule import KeypointDataModule, MixtureDataModule, SegmentationDataModule, TaskDataModule
from idiff.data.loading.training import TaskEntry
from idiff.data.sentence_datamodule import SentenceDataModule
from idiff.diffusion import GUIDANCE_RULES, PREDICTION_TYPES, SAMPLERS, SPACINGS
from idiff.errors import ConfigError
from idiff.models.autoencoder import Autoencoder
from idiff.models.lora import Lora
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder
from idiff.models.unet import build_unet
from idiff.sampling import PredictionName, RuleName, SamplerName, Sampling, SpacingName
from idiff.stages import AutoencoderTraining, PreferenceTraining, ReadoutTraining, TaskTraining, TextTraining
from idiff.stages.disturbance import Disturbance
from idiff.tasks.captioned import Captioned
from idiff.utils.painting import PALETTES, PaletteName
from idiff.utils.presets import Preset
from idiff.utils.settings import alternatives, parameters

NAN = float("nan")
TASKS = [getattr(idiff.tasks, name) for name in idiff.tasks.__all__ if name != "Task"] + [Captioned]
BLIND = {"seed", "sample_seed"}
"""Numbers of which any is as good as another."""


@pytest.fixture(scope="module")
def made(autoencoder_folder):
    """Class -> how it is made with some settings set anew."""
    from idiff.models.backbone import LatentDiffusion

    def backbone(**options):
        net = Autoencoder(weights=autoencoder_folder)
        return LatentDiffusion(**({"autoencoder": net, "text": TextEncoder(config=TEXT), "unet": UNET} | options))

    preset = {
        "steps": 1, "guidance_text": 1.0, "guidance_image": 1.0, "sampler": "ddim", "rule": "instructdiffusion", "metric": "miou",
        "score": None, "evaluations": 1.0, "samples": 1, "data": "x",
    }  # fmt: skip
    task = idiff.tasks.SemanticSegmentation
    return {
        TaskTraining: lambda **new: TaskTraining(backbone=backbone(), **new),
        PreferenceTraining: lambda **new: PreferenceTraining(backbone=backbone(), init_from="x", **new),
        AutoencoderTraining: lambda **new: AutoencoderTraining(autoencoder=Autoencoder(config=AUTOENCODER), **new),
        TextTraining: lambda **new: TextTraining(text=TextEncoder(config=TEXT), **new),
        ReadoutTraining: lambda **new: ReadoutTraining(autoencoder=Autoencoder(config=AUTOENCODER), **new),
        Preset: lambda **new: Preset(**(preset | new)),
        TaskDataModule: lambda **new: TaskDataModule(task(), **new),
        MixtureDataModule: lambda **new: MixtureDataModule({"a": TaskEntry(task())}, **new),
        TaskEntry: lambda **new: TaskEntry(task(), **new),
    }


PLAIN = [
    Sampling, Objective, Lora, Disturbance, BestCheckpoint, Evaluate, KeepLast, ProgressLines, WeightAverage, Benchmark,
    SegmentationDataModule, KeypointDataModule, SentenceDataModule, *TASKS,
]  # fmt: skip
OTHERS = [
    TaskTraining, PreferenceTraining, AutoencoderTraining, TextTraining, ReadoutTraining, Preset, TaskDataModule,
    MixtureDataModule, TaskEntry,
]  # fmt: skip


def literals(hint):
    return [choice for member in alternatives(hint) if get_origin(member) is Literal for choice in get_args(member)]


def wrongs(kind):
    """Parameters whose type says what is wrong: another name for a closed set, no number where there has to be one."""
    for name, each in parameters(kind).items():
        choices = literals(each.annotation)
        if choices:
            yield name, f"{choices[0]}x", choices
        elif {int, float} & set(alternatives(each.annotation)) and name not in BLIND:
            yield name, NAN, []


CASES = [(kind, *case) for kind in PLAIN + OTHERS for case in wrongs(kind)]


@pytest.mark.parametrize(
    ("kind", "name", "value", "choices"), CASES, ids=[f"{case[0].__name__}-{case[1]}" for case in CASES]
)
def test_a_wrong_value_is_refused_by_the_constructor(made, kind, name, value, choices):
    with pytest.raises(ConfigError, match=rf"\b{name}\b") as refused:
        made.get(kind, kind)(**{name: value})
    text = str(refused.value)
    assert str(value) in text and all(choice in text for choice in choices) and "\n" not in text
    assert not choices or f"did you mean '{choices[0]}'" in text


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Sampling(steps=0), "steps is 0: expected 1 or more"),
        (lambda: Sampling(steps=1.5), "steps is 1.5: expected 1 or more, a whole number"),
        (lambda: Sampling(guidance_text=float("inf")), "guidance_text is inf: expected a finite number"),
        (lambda: Sampling(stop_unchanged=0.0), "stop_unchanged is 0.0: expected more than 0, or null"),
        (
            lambda: Sampling(sampler="ddimm"),
            "unknown sampler 'ddimm'; did you mean 'ddim'? Known: ddim, dpmpp_2m, euler",
        ),
        (lambda: Objective(terminal_share=1.5), "terminal_share is 1.5: expected 0 or more and at most 1"),
        (
            lambda: Objective(dropout_text=0.6, dropout_image=0.6),
            "dropout_text + dropout_image + dropout_both is 0.6 + 0.6 + 0",
        ),
        (lambda: Objective(min_snr_gamma=0.0), "min_snr_gamma is 0.0: expected more than 0, or null"),
        (lambda: Disturbance(shift=0.5), "shift is 0.5: expected 0 or more, a whole number"),
        (
            lambda: TaskDataModule(idiff.tasks.Deblur(), max_bad_fraction=1.0),
            "is 1.0: expected 0 or more and less than 1",
        ),
        (
            lambda: idiff.tasks.Deblur(phrasings="sene"),
            "unknown phrasings 'sene'; did you mean 'seen'? Known: seen, unseen",
        ),
        (
            lambda: idiff.tasks.KeypointDetection(decoder="colour"),
            "unknown decoder 'colour'; did you mean 'color'? Known: color",
        ),
        (
            lambda: idiff.tasks.KeypointDetection(score="cocoo"),
            "unknown set of scored joints 'cocoo'; did you mean 'coco'?",
        ),
        (
            lambda: idiff.tasks.ObjectDetection(augment=[{"name": "RandomGama"}]),
            "'RandomGama'; did you mean 'RandomGamma'?",
        ),
        (
            lambda: Autoencoder(config=AUTOENCODER | {"latent_chanels": 4}),
            "'latent_chanels'; did you mean 'latent_channels'?",
        ),
        (
            lambda: Autoencoder(config=AUTOENCODER | {"down_block_types": ["Down"] * 3}),
            "the autoencoder's config cannot be built",
        ),
        (lambda: TextEncoder(config=TEXT | {"hidden_sise": 4}), "'hidden_sise'; did you mean 'hidden_size'?"),
        (lambda: TextEncoder(config=TEXT | {"hidden_act": "gellu"}), "the text encoder's config cannot be built"),
        (
            lambda: build_unet(
                UNET | {"mid_block": "x"}, weights=None, latent_channels=4, context=16, with_source=True
            ),
            "unknown setting of the U-Net's config 'mid_block'; did you mean 'mid_block_type'?",
        ),
    ],
)
def test_the_sentence_says_what_to_do(make, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        make()


def test_names_that_types_list_are_those_that_exist():
    assert set(get_args(SamplerName)) == set(SAMPLERS)
    assert get_args(RuleName) == GUIDANCE_RULES
    assert get_args(SpacingName) == SPACINGS
    assert get_args(PredictionName) == PREDICTION_TYPES
    assert set(get_args(PaletteName)) == set(PALETTES)


def test_no_class_of_a_configuration_with_a_closed_set_is_left_out():
    """A new class whose settings are of a closed set has to stand in the tables above."""
    closed = {
        kind for kind in sections.classes() if any(literals(each.annotation) for each in parameters(kind).values())
    }
    ours = {kind for kind in closed if kind.__module__.startswith("idiff.")}
    bases = {kind for kind in ours if any(issubclass(one, kind) or issubclass(kind, one) for one in PLAIN + OTHERS)}
    assert not {kind.__name__ for kind in ours - bases}


def test_the_checks_themselves():
    check_choice("x", "a", Literal["a", "b"])
    check_choice("x", "a", ["a"])
    check_number("x", 1, least=1, most=1, whole=True)
    check_number("x", None, above=0, optional=True)
    for wrong in (True, "1", None, [1], float("inf"), 1 + 2j):
        with pytest.raises(ConfigError, match=r"x is .*: expected a finite number"):
            check_number("x", wrong)
