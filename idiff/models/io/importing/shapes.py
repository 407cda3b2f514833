"""The architecture of Stable Diffusion 1's parts, read off the shapes of their weights in CompVis' names, at any width.

What no shape says follows these rules, which hold for Stable Diffusion 1.5 and are printed by an import:

    U-Net           8 heads at every level; heads of 64 channels where its projections are linear layers
    U-Net, VAE      groups of normalization: 32, or the largest power of two below that divides every width
    text encoder    heads of 64 channels (CLIP); 4 heads where the width is no multiple of 64; quick_gelu
    VAE             scale 0.18215, unless the file has its own `scale_factor`
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Size, Tensor

from idiff.errors import CheckpointError

HEADS, HEAD_WIDTH, GROUPS, SCALE = 8, 64, 32, 0.18215
TEXT_HEADS = 4
"""Of a text encoder whose width is no multiple of `HEAD_WIDTH`, as small test models have it."""


class Shapes:
    """Shapes of one part's weights, by name.

    Args:
        tensors: by their names within the part.
        prefix: what stands before the names in the file.
        origin: names the file.
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, prefix: str, origin: str) -> None:
        self.tensors, self.prefix, self.origin = tensors, prefix, origin

    def __getitem__(self, name: str) -> Size:
        """The shape of a weight that must be there.

        Raises:
            CheckpointError: it is missing.
        """
        if name not in self.tensors:
            raise CheckpointError(
                f"{self.origin} lacks {self.prefix}{name}: it was cut short, or the key was renamed. Get the file again."
            )
        return self.tensors[name].shape

    def side(self, name: str, axis: int) -> int:
        """One side of a weight.

        Raises:
            CheckpointError: the weight is missing, or has fewer axes.
        """
        shape = self[name]
        if len(shape) <= axis:
            raise CheckpointError(
                f"{self.origin}: {self.prefix}{name} has the shape {tuple(shape)}, expected {axis + 1} axes or more."
            )
        return int(shape[axis])

    def voted(self, *places: tuple[str, int]) -> int:
        """The side that most of three weights agree on, so that one that was cut does not change what the others are measured by.

        Raises:
            CheckpointError: one of them is missing.
        """
        return int(statistics.median(self.side(name, axis) for name, axis in places))

    def any(self, start: str) -> bool:
        """Whether a name starts so."""
        return any(name.startswith(start) for name in self.tensors)

    def count(self, pattern: str) -> int:
        """How many numbers the pattern's group finds at the start of names.

        Raises:
            CheckpointError: a number is left out below another.
        """
        found = {int(match[1]): name for name in self.tensors if (match := re.match(pattern, name))}
        for number in sorted(found):
            if number and number - 1 not in found:
                raise CheckpointError(
                    f"{self.origin} holds {self.prefix}{found[number]}, and nothing of the block before it: keys were cut off or "
                    "renamed. Get the original file."
                )
        return len(found)


def unet_config(shapes: Shapes, *, latent: int) -> dict[str, Any]:
    """Arguments of diffusers' UNet2DConditionModel. `latent` is the number of channels of a latent.

    Raises:
        CheckpointError: a weight is missing that says how the network is built.
    """
    blocks = shapes.count(r"input_blocks\.(\d+)\.")
    downs = [index for index in range(1, blocks) if shapes.any(f"input_blocks.{index}.0.op.")]
    levels = len(downs) + 1
    layers, rest = divmod(blocks - levels, levels)
    if rest or layers < 1:
        at = f"{shapes.prefix}input_blocks"
        raise CheckpointError(
            f"{shapes.origin} has {blocks} {at} with {len(downs)} downsamplings: keys are missing, or it is another network."
        )
    widths, depths, contexts = [], [], []
    down: list[str] = []
    up: list[str] = []
    deepest = (
        shapes.count(r"middle_block\.1\.transformer_blocks\.(\d+)\.") or 1
    )  # diffusers takes it from the last level
    for level in range(levels):
        first = level * (layers + 1) + 1
        block = f"input_blocks.{first}.0"
        widths.append(
            shapes.voted(
                (f"{block}.in_layers.2.weight", 0),
                (f"{block}.in_layers.2.bias", 0),
                (f"{block}.out_layers.3.weight", 0),
            )
        )
        attends = shapes.any(f"input_blocks.{first}.1.")
        down.append("CrossAttnDownBlock2D" if attends else "DownBlock2D")
        out = (levels - 1 - level) * (layers + 1)
        climbs = any(
            shapes.any(f"output_blocks.{out}.1.{name}") for name in ("norm.", "proj_in.", "transformer_blocks.")
        )
        up.insert(0, "CrossAttnUpBlock2D" if climbs else "UpBlock2D")
        depths.append(shapes.count(rf"input_blocks\.{first}\.1\.transformer_blocks\.(\d+)\.") or deepest)
        if attends:
            contexts.append(f"input_blocks.{first}.1")
    middle = "middle_block.1"
    where = contexts[0] if contexts else middle
    linear = len(shapes[f"{where}.proj_in.weight"]) == 2
    return {
        "in_channels": shapes.side("input_blocks.0.0.weight", 1),
        "out_channels": latent,
        "block_out_channels": widths,
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "up_block_types": up,
        "layers_per_block": layers,
        "cross_attention_dim": shapes.side(f"{where}.transformer_blocks.0.attn2.to_k.weight", 1),
        "attention_head_dim": [width // HEAD_WIDTH or 1 for width in widths] if linear else math.gcd(HEADS, *widths),
        "use_linear_projection": linear,
        "transformer_layers_per_block": depths[0] if len(set(depths)) == 1 else depths,
        "norm_num_groups": groups(widths),
        "sample_size": 64,
    }


def vae_config(shapes: Shapes, *, scale: float) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL.

    Raises:
        CheckpointError: a weight is missing that says how the network is built.
    """
    levels = shapes.count(r"encoder\.down\.(\d+)\.")
    blocks = [f"encoder.down.{level}.block.0" for level in range(levels)]
    widths = [
        shapes.voted((f"{block}.conv1.weight", 0), (f"{block}.conv1.bias", 0), (f"{block}.conv2.bias", 0))
        for block in blocks
    ]
    if not widths:
        raise CheckpointError(
            f"{shapes.origin} lacks {shapes.prefix}encoder.down.0.block.0.conv1.weight. Get the file again."
        )
    return {
        "in_channels": shapes.side("encoder.conv_in.weight", 1),
        "out_channels": shapes.voted(
            ("decoder.conv_out.weight", 0), ("decoder.conv_out.bias", 0), ("encoder.conv_in.weight", 1)
        ),
        "block_out_channels": widths,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": shapes.count(r"encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": shapes.side("decoder.conv_in.weight", 1),
        "norm_num_groups": groups(widths),
        "scaling_factor": scale,
        "sample_size": 512,
    }


def text_config(shapes: Shapes, *, bos: int, eos: int, length: int) -> dict[str, Any]:
    """Arguments of transformers' CLIPTextConfig. Names are those without `text_model.`.

    Args:
        shapes: of the text encoder.
        bos: number of the token that begins a prompt.
        eos: number of the one that ends it.
        length: tokens of a prompt.

    Raises:
        CheckpointError: a weight is missing that says how the network is built, or prompts have another length.
    """
    position = "embeddings.position_embedding.weight"
    if shapes.side(position, 0) != length:
        raise CheckpointError(
            f"{shapes.origin}: {shapes.prefix}{position} has {shapes.side(position, 0)} rows, expected {length}: the tokenizer's "
            "prompts are that long. Get the original file, or give the tokenizer that belongs to it."
        )
    mlp = "encoder.layers.0.mlp"
    vocabulary, width = (
        shapes.side("embeddings.token_embedding.weight", 0),
        shapes.side("embeddings.token_embedding.weight", 1),
    )
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": shapes.voted((f"{mlp}.fc1.weight", 0), (f"{mlp}.fc1.bias", 0), (f"{mlp}.fc2.weight", 1)),
        "num_hidden_layers": shapes.count(r"encoder\.layers\.(\d+)\."),
        "num_attention_heads": width // HEAD_WIDTH if width % HEAD_WIDTH == 0 else math.gcd(TEXT_HEADS, width),
        "max_position_embeddings": length,
        "hidden_act": "quick_gelu",
        "bos_token_id": bos,
        "eos_token_id": eos,
        "pad_token_id": eos,
        "projection_dim": width,
    }


def groups(widths: Iterable[int]) -> int:
    """Groups of normalization that divide every width."""
    return math.gcd(GROUPS, *widths)
