"""Write a model as a folder that diffusers loads, with a pipeline of its own, and under a stock class where that is the same.

unet/ vae/ text_encoder/ tokenizer/ scheduler/ model_index.json    what diffusers reads
pipeline.py               guidance rule, residual, presets and sizes; it stands alone
idiff.json README.md      as in every exported folder: this project reads it, too
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from pprint import pformat
from typing import Any

import diffusers

from idiff.diffusion import SAMPLERS
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.export import write_folder
from idiff.sampling import Sampling
from idiff.utils.presets import Preset

PIPELINE = "pipeline.py"
MODEL = 'MODEL = {"rule": "instructdiffusion", "residual": False, "size": 512, "presets": {}}\n'
"""The line of the template that a model's own values take the place of."""

OWN_CLASS = "InstructionEditPipeline"
"""The class in pipeline.py."""

STOCK = {True: "StableDiffusionInstructPix2PixPipeline", False: "StableDiffusionPipeline"}
"""Whether a model takes a source -> the class of diffusers that samples it the same way, where its rule is the class's own."""


def stock_class(backbone: LatentDiffusion) -> str | None:
    """The class of diffusers that samples this model as it is meant to be; None: no such class does."""
    objective = backbone.objective
    if objective.residual or objective.prediction == "sample":
        return None
    if backbone.with_source and objective.rule != "instructpix2pix":
        return None
    return STOCK[backbone.with_source]


def write_pipeline(
    backbone: LatentDiffusion,
    folder: str | Path,
    *,
    config: dict[str, Any] | None = None,
    step: int = 0,
    half: bool = False,
    ood_score: dict[str, Any] | None = None,
    presets: Mapping[str, Preset] | None = None,
    samplings: Mapping[str, Sampling] | None = None,
    sizes: Mapping[str, int] | None = None,
    card: str | None = None,
) -> Path:
    """Write a model as a folder that `DiffusionPipeline.from_pretrained` loads. The folder appears whole or not at all.

    A model that no class of diffusers samples as it is meant to be is written under the class in its own pipeline.py alone, which
    diffusers runs with `trust_remote_code=True` only. Under InstructPix2Pix's rule and without `residual` the folder is one of
    `StableDiffusionInstructPix2PixPipeline`, and of StableDiffusionPipeline for text-to-image.

    Args:
        backbone: see `write_folder`.
        folder: must not exist yet, or be empty.
        config: see `write_folder`.
        step: optimizer steps taken.
        half: weights in float16.
        ood_score: see `write_folder`.
        presets: see `write_folder`.
        samplings: task -> how it is sampled; what pipeline.py calls its presets. The first holds where a call names no task.
        sizes: task -> pixels of the side its pictures are painted at.
        card: text of README.md.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    stock = stock_class(backbone)
    own = {
        "rule": backbone.objective.rule,
        "residual": backbone.objective.residual and backbone.with_source,
        "size": _side(backbone),
        "presets": _presets(backbone, samplings or {}, sizes or {}),
    }
    scheduler = _scheduler(backbone)
    index = {
        "_class_name": [PIPELINE.removesuffix(".py"), OWN_CLASS] if stock is None else stock,
        "_diffusers_version": diffusers.__version__,
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "scheduler": ["diffusers", type(scheduler).__name__],
    } | (own if stock is None else {"requires_safety_checker": False})

    template = Path(str(files("idiff") / "assets" / "diffusers" / PIPELINE)).read_text(encoding="utf-8")

    def beside(staged: Path) -> None:
        scheduler.save_pretrained(staged / "scheduler")
        (staged / "model_index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        (staged / PIPELINE).write_text(_filled(template, own), encoding="utf-8")

    return write_folder(
        backbone, folder, config=config or {}, step=step, half=half, ood_score=ood_score, presets=presets, card=card,
        beside=beside,
    )  # fmt: skip


def _filled(template: str, own: Mapping[str, Any]) -> str:
    """The pipeline's file with this model's values in the place of its defaults."""
    before, mark, after = template.partition(MODEL)
    assert mark, "the template has its line"
    return f"{before}MODEL = {pformat(dict(own), width=118, sort_dicts=False)}\n{after}"


def _scheduler(backbone: LatentDiffusion) -> Any:
    """The noise schedule as diffusers writes it; ancestral Euler steps, as InstructDiffusion samples, where that class can."""
    objective, schedule = backbone.objective, backbone.schedule
    settings = {
        "num_train_timesteps": schedule.num_train_timesteps,
        "beta_start": schedule.beta_start,
        "beta_end": schedule.beta_end,
        "beta_schedule": "scaled_linear",
        "prediction_type": objective.prediction,
        "rescale_betas_zero_snr": objective.zero_terminal_snr,
        "timestep_spacing": objective.spacing,
    }
    if objective.prediction == "sample":
        return diffusers.DDIMScheduler(**settings, clip_sample=False)
    return diffusers.EulerAncestralDiscreteScheduler(**settings)


def _side(backbone: LatentDiffusion) -> int:
    """Pixels of the side that the U-Net was made for; 64 where it does not say."""
    cells = backbone.unet.config.sample_size
    return int(cells) * backbone.autoencoder.factor if isinstance(cells, int) else 64


def _presets(
    backbone: LatentDiffusion, samplings: Mapping[str, Sampling], sizes: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """How each task is sampled, as plain values with the scales written out. Samplers of a user's own are left to the caller."""
    rule, found = backbone.objective.rule, {}
    for task, sampling in samplings.items():
        text, image = sampling.scales(rule)
        known = {"sampler": sampling.sampler} if sampling.sampler in SAMPLERS else {}
        size = {"size": sizes[task]} if task in sizes else {}
        found[task] = {"steps": sampling.steps, "guidance_text": text, "guidance_image": image} | known | size
    return found
