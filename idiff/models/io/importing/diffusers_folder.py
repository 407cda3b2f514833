"""A folder in diffusers' layout comes in: weights as safetensors or .bin, in half precision by name, in one file or in shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from idiff.errors import CheckpointError
from idiff.models.io.folders import INDEX, subfolder
from idiff.models.io.importing.keys import KeyReport
from idiff.models.network import load_network
from idiff.models.unet import widen

PARTS: dict[str, tuple[Any, str]] = {
    "unet": (UNet2DConditionModel, "U-Net"),
    "vae": (AutoencoderKL, "autoencoder"),
    "text_encoder": (CLIPTextModel, "text encoder"),
}


def pipeline_class(folder: Path) -> str:
    """The class that a pipeline's folder names; empty where it names none."""
    try:
        name = json.loads((folder / INDEX).read_text(encoding="utf-8-sig"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) else ""


def input_channels(folder: Path) -> tuple[int, int]:
    """Channels that the U-Net takes, and those of a latent.

    Raises:
        CheckpointError: its config.json does not say.
    """
    file = subfolder(folder, "unet") / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8-sig"))
        return int(config.get("in_channels", 4)), int(config.get("out_channels", 4))
    except (OSError, ValueError, TypeError, AttributeError):
        raise CheckpointError(f"{file} cannot be read as a U-Net's configuration. Get the folder again.") from None


def side_by_side(takes: int, latent: int, origin: Path) -> int:
    """Latents that the U-Net takes side by side.

    Raises:
        CheckpointError: no whole number of them, or more than two.
    """
    if takes not in {latent, 2 * latent}:
        raise CheckpointError(
            f"the U-Net in {origin} takes {takes} channels: expected {latent} (text-to-image) or {2 * latent} (with a source)."
        )
    return takes // latent


def copy_parts(folder: Path, staged: Path, *, widened_by: int, tokenizer: CLIPTokenizer, report: KeyReport) -> None:
    """Load each part with its library's own loader, whole or not at all, and write it again.

    Args:
        folder: the source.
        staged: gets `unet/`, `vae/` and `text_encoder/`.
        widened_by: input channels of zeros that the U-Net's first convolution gets.
        tokenizer: of the text encoder.
        report: gets a row for each key.

    Raises:
        CheckpointError: a part is missing, damaged, not finite, or its keys are not those of its network.
    """
    for part, (kind, words) in PARTS.items():
        place = subfolder(folder, part)
        options = {} if part == "text_encoder" else {"low_cpu_mem_usage": False}
        net = load_network(kind, place, part=words, **options)
        if part == "text_encoder" and net.config.vocab_size < len(tokenizer):
            raise CheckpointError(
                f"the tokenizer of {folder} has {len(tokenizer):,} tokens, its text encoder {net.config.vocab_size:,}: expected "
                "no more, the one it was trained with. Give it as --tokenizer."
            )
        if all(torch.equal(value.half().to(value.dtype), value) for value in net.state_dict().values()):
            torch.nn.Module.half(net)  # as it was stored; diffusers' own warns
        if part == "unet" and widened_by:
            widen(net, widened_by)
        for key in net.state_dict():
            if part == "unet" and widened_by and key == "conv_in.weight":
                report.converted(f"{part}/{key}", f"{part}/{key}", f"{widened_by} input channels of zeros are added")
            else:
                report.loaded(f"{part}/{key}", f"{part}/{key}")
        net.to(memory_format=torch.contiguous_format).save_pretrained(staged / part)
