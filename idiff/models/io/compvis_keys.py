"""Key names of CompVis files, from those of diffusers and transformers: the inverse of diffusers' own conversion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from idiff.errors import CheckpointError

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
POSITIONS = TEXT + "embeddings.position_ids"

_GROUPS = 32
"""Groups of every normalisation in the files' own code."""

_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}
_ENDS = {
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "conv_in.": "input_blocks.0.0.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}
_MIDDLE = {"resnets.0.": "middle_block.0.", "attentions.0.": "middle_block.1.", "resnets.1.": "middle_block.2."}
_ATTENTION = {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}


def check_unet(config: Mapping[str, Any]) -> None:
    """Refuse a U-Net that the files' own code cannot build.

    Raises:
        CheckpointError: names the settings.
    """
    downs, ups = list(config["down_block_types"]), list(config["up_block_types"])
    attended = [kind == "CrossAttnDownBlock2D" for kind in downs]
    plain = {
        "down_block_types": set(downs) <= {"CrossAttnDownBlock2D", "DownBlock2D"},
        "up_block_types": set(ups) <= {"CrossAttnUpBlock2D", "UpBlock2D"}
        and [kind == "CrossAttnUpBlock2D" for kind in ups] == attended[::-1],
        "mid_block_type": config["mid_block_type"] == "UNetMidBlock2DCrossAttn",
        "layers_per_block": isinstance(config["layers_per_block"], int),
        "norm_num_groups": config["norm_num_groups"] == _GROUPS,
        "resnet_time_scale_shift": config["resnet_time_scale_shift"] == "default",
        "attention_head_dim": isinstance(config["attention_head_dim"], int),
        "transformer_layers_per_block": isinstance(config["transformer_layers_per_block"], int),
        "addition_embed_type": config["addition_embed_type"] is None,
        "class_embed_type": config["class_embed_type"] is None,
        "time_embedding_type": config["time_embedding_type"] == "positional",
        "block_out_channels": all(each % config["block_out_channels"][0] == 0 for each in config["block_out_channels"]),
    }
    _refuse("U-Net", config, plain)


def check_vae(config: Mapping[str, Any]) -> None:
    """Refuse an autoencoder that the files' own code cannot build.

    Raises:
        CheckpointError: names the settings.
    """
    widths = config["block_out_channels"]
    plain = {
        "down_block_types": set(config["down_block_types"]) == {"DownEncoderBlock2D"},
        "up_block_types": set(config["up_block_types"]) == {"UpDecoderBlock2D"},
        "norm_num_groups": config["norm_num_groups"] == _GROUPS,
        "mid_block_add_attention": bool(config.get("mid_block_add_attention", True)),
        "use_quant_conv": bool(config.get("use_quant_conv", True)),
        "use_post_quant_conv": bool(config.get("use_post_quant_conv", True)),
        "block_out_channels": all(each % widths[0] == 0 for each in widths),
    }
    _refuse("autoencoder", config, plain)


def _refuse(part: str, config: Mapping[str, Any], plain: Mapping[str, bool]) -> None:
    odd = [f"{name} {config.get(name)}" for name, fits in plain.items() if not fits]
    if odd:
        raise CheckpointError(
            f"the {part} has {', '.join(odd)}, which CompVis files cannot express: export it with --format diffusers or "
            "safetensors."
        )


def unet_keys(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A U-Net's weights under the names of CompVis files.

    Args:
        state: of diffusers' UNet2DConditionModel.
        config: its own.

    Raises:
        CheckpointError: the files have no names for such a U-Net, or for one of its weights.
    """
    check_unet(config)
    layers, found = int(config["layers_per_block"]), {}
    attended = [kind == "CrossAttnUpBlock2D" for kind in config["up_block_types"]]
    for key, value in state.items():
        found[UNET + _unet_key(key, layers, attended)] = value
    return found


def _unet_key(key: str, layers: int, attended: list[bool]) -> str:
    for old, new in _ENDS.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    if key.startswith("mid_block."):
        inside = key.removeprefix("mid_block.")
        for old, new in _MIDDLE.items():
            if inside.startswith(old):
                return new + _inside(inside.removeprefix(old), resnet="resnets" in old)
    match = re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", key)
    if match is None:
        raise CheckpointError(
            f"the U-Net's weight {key} has no name in CompVis files: export it with --format diffusers."
        )
    way, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    if way == "down":
        first = 1 + block * (layers + 1)
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.op." + rest.removeprefix("conv.")
        return f"input_blocks.{first + layer}.{int(kind == 'attentions')}." + _inside(rest, resnet=kind == "resnets")
    first = block * (layers + 1)
    if kind == "upsamplers":
        return f"output_blocks.{first + layers}.{2 if attended[block] else 1}.{rest}"
    return f"output_blocks.{first + layer}.{int(kind == 'attentions')}." + _inside(rest, resnet=kind == "resnets")


def _inside(rest: str, *, resnet: bool) -> str:
    """A name inside of a block; those of attention are the same."""
    if not resnet:
        return rest
    return next((new + rest.removeprefix(old) for old, new in _RESNET.items() if rest.startswith(old)), rest)


def vae_keys(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """An autoencoder's weights under the names of CompVis files, whose attention is made of 1 x 1 convolutions.

    Args:
        state: of diffusers' AutoencoderKL.
        config: its own.

    Raises:
        CheckpointError: the files have no names for such an autoencoder.
    """
    check_vae(config)
    last, found = len(config["block_out_channels"]) - 1, {}
    for key, value in state.items():
        name = key.replace("conv_norm_out.", "norm_out.").replace("conv_shortcut.", "nin_shortcut.")
        name = re.sub(r"mid_block\.resnets\.(\d+)\.", lambda m: f"mid.block_{int(m[1]) + 1}.", name)
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", name)
        name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0\.", lambda m: f"up.{last - int(m[1])}.upsample.", name)
        before, attention, inside = name.partition("mid_block.attentions.0.")
        if attention:
            old = next(each for each in _ATTENTION if inside.startswith(each))
            name = f"{before}mid.attn_1.{_ATTENTION[old]}{inside.removeprefix(old)}"
        found[VAE + name] = value[:, :, None, None] if attention and value.ndim == 2 else value
    return found


def text_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP text model's weights under the names of CompVis files, its position numbers with them.

    Args:
        state: of transformers' CLIPTextModel, of version 4 (`text_model.` before every name) or 5.
    """
    plain = {key.removeprefix("text_model."): value for key, value in state.items()}
    length = plain["embeddings.position_embedding.weight"].shape[0]
    found = {TEXT + key: value for key, value in plain.items()}
    found.setdefault(POSITIONS, torch.arange(length, dtype=torch.int64)[None])
    return found
