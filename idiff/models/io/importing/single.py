"""The three networks of a single file, one at a time, each written as a folder of its own."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from idiff.errors import CheckpointError
from idiff.models.io.compvis_keys import unet_keys, vae_keys
from idiff.models.io.importing.convert import TEXT_MODEL, fill, silent
from idiff.models.io.importing.held import Held
from idiff.models.io.importing.keys import PREFIXES, KeyReport, scale_of
from idiff.models.io.importing.ldm_config import LdmSettings, text_settings
from idiff.models.io.importing.shapes import SCALE, Shapes, text_config, unet_config, vae_config
from idiff.models.io.importing.vocabulary import LENGTH
from idiff.models.network import build_network
from idiff.models.unet import widen


def shapes_of(part: str, tensors: Mapping[str, Tensor], origin: str) -> Shapes:
    """The shapes of a part's weights, by their names within it; the text encoder's without `text_model.`."""
    prefix = PREFIXES[part]
    within = {name.removeprefix(prefix): value for name, value in tensors.items()}
    if part == "text_encoder":
        prefix += TEXT_MODEL if any(name.startswith(TEXT_MODEL) for name in within) else ""
        within = {name.removeprefix(TEXT_MODEL): value for name, value in within.items()}
    return Shapes(within, prefix=prefix, origin=origin)


def latent_channels(parts: Mapping[str, Mapping[str, Tensor]], origin: str) -> int:
    """Channels of a latent.

    Raises:
        CheckpointError: a weight is missing that says so.
    """
    unet, vae = (shapes_of(part, parts[part], origin) for part in ("unet", "vae"))
    return int(
        statistics.median(
            [unet.side("out.2.weight", 0), unet.side("out.2.bias", 0), vae.side("decoder.conv_in.weight", 1)]
        )
    )


def write_parts(
    held: Held,
    parts: Mapping[str, Mapping[str, Tensor]],
    configs: Mapping[str, dict[str, Any]],
    staged: Path,
    *,
    widened_by: int,
    averaged: Mapping[str, str],
    report: KeyReport,
) -> None:
    """Convert the parts of a file and write each in the hub's layout.

    Args:
        held: the file.
        parts: part -> its tensors, see `sort_keys`.
        configs: part -> its architecture, see `part_configs`.
        staged: the folder that gets `unet/`, `vae/` and `text_encoder/`.
        widened_by: input channels of zeros that the U-Net's first convolution gets.
        averaged: keys whose weight is a running average -> the key of that.
        report: gets a row for each key.

    Raises:
        CheckpointError: see `fill`.
    """
    for part, make in MAKERS.items():
        net = make(configs[part])
        with silent():
            fill(
                net, part, parts[part], configs[part], expected=_expected(part, net, parts[part]), averaged=averaged,
                report=report, origin=str(held.file),
            )  # fmt: skip
        if part == "unet" and widened_by:
            dtype = net.conv_in.weight.dtype
            widen(net, widened_by)
            net.conv_in.to(dtype)
            row = next(row for row in report.rows if row.get("to") == "unet/conv_in.weight")
            row |= {
                "fate": "converted",
                "why": "; ".join(filter(None, [row.get("why"), f"{widened_by} input channels of zeros are added"])),
            }
        net.save_pretrained(staged / part)


def part_configs(
    held: Held,
    parts: Mapping[str, Mapping[str, Tensor]],
    settings: LdmSettings,
    tokenizer: CLIPTokenizer,
    folder: str | Path | None,
) -> dict[str, dict[str, Any]]:
    """Read the architecture of each part off its shapes, and what they do not say off configurations beside it.

    Args:
        held: the file.
        parts: part -> its tensors.
        settings: of latent-diffusion's configuration beside the file.
        tokenizer: of the text encoder.
        folder: where the tokenizer is from, which may be the text encoder's own.

    Raises:
        CheckpointError: a weight is missing that says how a network is built.
    """
    origin = str(held.file)
    scale = scale_of(held, settings.scale or SCALE)
    unet = unet_config(shapes_of("unet", parts["unet"], origin), latent=latent_channels(parts, origin))
    if settings.heads is not None and not unet["use_linear_projection"]:
        unet["attention_head_dim"] = settings.heads
    if settings.head_width is not None:
        unet["attention_head_dim"] = _heads(unet["block_out_channels"], settings.head_width, settings.origin)
    text = shapes_of("text_encoder", parts["text_encoder"], origin)
    words = text_config(text, bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, length=_length(tokenizer))
    return {
        "unet": unet,
        "vae": vae_config(shapes_of("vae", parts["vae"], origin), scale=scale),
        "text_encoder": words | text_settings(folder, width=words["hidden_size"]),
    }


def _heads(widths: Sequence[int], each: int, origin: Path | None) -> list[int]:
    """Heads at each level, of `each` channels.

    Raises:
        CheckpointError: a level's width is no multiple of it.
    """
    if any(width % each for width in widths):
        raise CheckpointError(
            f"{origin}: num_head_channels is {each}, expected a divisor of the widths {', '.join(map(str, widths))} of the U-Net. "
            "Correct it, or move it away."
        )
    return [width // each for width in widths]


def _length(tokenizer: CLIPTokenizer) -> int:
    """Tokens of a prompt; CLIP's where the tokenizer does not say."""
    length = int(tokenizer.model_max_length)
    return length if length < 100_000 else LENGTH


def _unet(config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return build_network(UNet2DConditionModel, config, part="U-Net")


def _vae(config: dict[str, Any]) -> Any:
    with torch.device("meta"):
        return build_network(AutoencoderKL, config, part="autoencoder")


def _text(config: dict[str, Any]) -> Any:
    made = build_network(CLIPTextConfig, config, part="text encoder")
    return build_network(CLIPTextModel, {"config": made}, part="text encoder")


MAKERS: dict[str, Callable[[dict[str, Any]], Any]] = {"unet": _unet, "vae": _vae, "text_encoder": _text}
"""Part -> what builds its network, with weights still to come."""


def _expected(part: str, net: nn.Module, given: Mapping[str, Tensor]) -> set[str] | None:
    """The keys that a file has of a network; None where such files have no names for it."""
    state: dict[str, Tensor] = net.state_dict()
    config: Any = net.config
    if part == "text_encoder":
        start = PREFIXES[part]
        start += TEXT_MODEL if any(each.startswith(start + TEXT_MODEL) for each in given) else ""
        return {start + key.removeprefix(TEXT_MODEL) for key in state}
    try:
        return set((unet_keys if part == "unet" else vae_keys)(state, config))
    except CheckpointError:
        return None
