"""The README.md of an exported model: what it is, how it is asked, and what a reader has to know before using it."""

from __future__ import annotations

from collections.abc import Mapping

from idiff.models.backbone import LatentDiffusion
from idiff.sampling import Sampling

_OPENINGS = {
    "safetensors": """from idiff import Pipeline

pipeline = Pipeline("{folder}")
""",
    "diffusers": """from diffusers import DiffusionPipeline
from PIL import Image

pipe = DiffusionPipeline.from_pretrained("{folder}", custom_pipeline="{folder}/pipeline.py", trust_remote_code=True)
picture = pipe("an instruction", image=Image.open("photo.png"){task}).images[0]
""",
}
_TEXT_OPENING = """from diffusers import DiffusionPipeline

pipe = DiffusionPipeline.from_pretrained("{folder}", custom_pipeline="{folder}/pipeline.py", trust_remote_code=True)
picture = pipe("a sentence").images[0]
"""


def model_card(
    backbone: LatentDiffusion,
    *,
    name: str,
    sha256: str,
    step: int,
    kind: str,
    samplings: Mapping[str, Sampling],
    folder: str,
) -> str:
    """Markdown with the hub's header.

    Args:
        backbone: the model.
        name: of the checkpoint it was exported from.
        sha256: of its bytes.
        step: optimizer steps it had taken.
        kind: `safetensors`, `diffusers` or `compvis`.
        samplings: task -> how it is sampled.
        folder: what the example calls the model's folder.
    """
    objective, unet = backbone.objective, backbone.unet
    size = sum(parameter.numel() for parameter in unet.parameters())
    facts = {
        "takes": "a picture and an instruction" if backbone.with_source else "words alone",
        "U-Net": f"{size / 1e6:,.1f} M parameters, {unet.config.in_channels} channels in",
        "predicts": objective.prediction
        + (", added to the source" if objective.residual and backbone.with_source else ""),
        "guidance rule": objective.rule,
        "timesteps": objective.spacing + (", zero terminal SNR" if objective.zero_terminal_snr else ""),
        "latents": f"{backbone.autoencoder.channels} channels, {backbone.autoencoder.factor} pixels a cell",
        "exported from": f"{name}, step {step:,}, SHA-256 {sha256[:16]}",
    }
    lines = ["---", "library_name: diffusers" if kind == "diffusers" else "library_name: idiff"]
    lines += ["pipeline_tag: image-to-image" if backbone.with_source else "pipeline_tag: text-to-image", "---", ""]
    lines += ["# An instruction-guided image model", "", "Written by `idiff export`.", "", "| | |", "|---|---|"]
    lines += [f"| {key} | {value} |" for key, value in facts.items()]
    if samplings:
        lines += [
            "",
            "How each task is sampled:",
            "",
            "| task | sampler | steps | guidance text, image |",
            "|---|---|---|---|",
        ]
        for task, each in samplings.items():
            text, image = each.scales(objective.rule)
            lines.append(f"| {task} | {each.sampler} | {each.steps} | {text:g}, {image:g} |")
    lines += ["", *_use(backbone, kind, folder, samplings)]
    lines += [
        "",
        "License and limits are those of the weights it was trained from and of the sets it was trained on: add them here "
        "before you share it.",
    ]
    return "\n".join(lines) + "\n"


def _use(backbone: LatentDiffusion, kind: str, folder: str, samplings: Mapping[str, Sampling]) -> list[str]:
    if kind == "compvis":
        return [
            "`model.ckpt` holds `state_dict` under CompVis names; `config.yaml` is its architecture. The file has no place for the "
            f"guidance rule: it is {backbone.objective.rule}'s. The tokenizer is in `tokenizer/`.",
        ]
    opening = _OPENINGS[kind] if backbone.with_source or kind != "diffusers" else _TEXT_OPENING
    task = f', task="{next(iter(samplings))}"' if samplings else ""
    lines = ["```python", *opening.format(folder=folder, task=task).splitlines(), "```"]
    if kind == "diffusers":
        lines += ["", "`pipeline.py` is code that diffusers runs: read it before you set `trust_remote_code`."]
    return lines
