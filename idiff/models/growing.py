"""A U-Net grows: attention and residual blocks are added that compute nothing until they are trained."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from idiff.errors import ConfigError
from idiff.models.network import build_network, check_arguments

SILENT = "random, behind a projection of zeros: the block is silent at first"

BLOCK = re.compile(r"(?P<where>(?:.*\.)?(?P<way>down|up)_blocks\.\d+)\.(?P<kind>attentions|resnets)\.(?P<number>\d+)\.")
"""What the weights of a block begin with: where it stands, its kind, and its number there."""

_LAST = {"attentions": "proj_out", "resnets": "conv2"}
"""Kind of block -> its last layer; what comes out of it is added to what went in."""


def grow(net: UNet2DConditionModel, config: dict[str, Any]) -> tuple[UNet2DConditionModel, list[str]]:
    """Add attention and residual blocks to a U-Net; what it computes stays the same until they are trained.

    Args:
        net: to start from; left as it is.
        config: what is to be other than in its own config, such as `up_block_types` or `layers_per_block`.

    Returns:
        the new U-Net, and the keys of its new weights.

    Raises:
        ConfigError: the config changes more than such blocks.
    """
    check_arguments(UNet2DConditionModel, config, part="U-Net")
    grown = build_network(UNet2DConditionModel.from_config, {"config": {**net.config, **config}}, part="U-Net")
    own = grown.state_dict()
    given = moved(net.state_dict(), own)
    new = added(own, given)
    wrong = [key for key in given if key not in own or own[key].shape != given[key].shape]
    wrong += [key for key in own if key not in given and key not in new]
    if wrong:
        raise ConfigError(
            f"unet changes {len(wrong)} weights ({', '.join(wrong[:3])}) of unet_weights: expected new attention or residual "
            "blocks alone. Leave out unet_weights to train new weights, or unet to take them as they are."
        )
    grown.load_state_dict(given, strict=False)
    silence(grown, new)
    return grown, new


def added(own: Iterable[str], given: Iterable[str]) -> list[str]:
    """Weights of attention and residual blocks that a U-Net has and another one lacks.

    Args:
        own: keys of the first.
        given: keys of the other, see `moved`.
    """
    there = set(given)
    return [key for key in own if key not in there and BLOCK.match(key)]


def moved(given: dict[str, Tensor], own: Iterable[str]) -> dict[str, Tensor]:
    """Weights of a U-Net under the names that they have in one with more layers to a block.

    An up block reads the skip connections of its level backwards, and one of the level before last. So its first block stays
    the first and the others stay the last ones; new blocks stand between them. In a down block new ones follow.

    Args:
        given: weights of the smaller U-Net, with any prefix.
        own: keys of the larger one.
    """
    had, has = layers(given), layers(own)
    names = {}
    for key in given:
        found = BLOCK.match(key)
        if found and found["way"] == "up" and int(found["number"]):
            more = has.get(found["where"], 0) - had[found["where"]]
            number = int(found["number"]) + max(more, 0)
            names[key] = f"{found['where']}.{found['kind']}.{number}.{key[found.end() :]}"
    return {names.get(key, key): value for key, value in given.items()}


def layers(keys: Iterable[str]) -> dict[str, int]:
    """Down or up block -> how many residual blocks it has, by the keys of a U-Net with any prefix."""
    count: dict[str, int] = {}
    for found in map(BLOCK.match, keys):
        if found and found["kind"] == "resnets":
            count[found["where"]] = max(count.get(found["where"], 0), int(found["number"]) + 1)
    return count


def silence(net: nn.Module, keys: Iterable[str]) -> None:
    """Let the blocks that keys belong to pass on what they get, in place: what they would add is multiplied by zero.

    A residual block of an up block also gets a skip connection, which a 1 x 1 convolution merges: of it nothing passes.
    As in Net2DeeperNet (Chen et al., ICLR 2016, section 2.3), the function stays the same.
    """
    blocks = {found[0].rstrip("."): found["kind"] for found in map(BLOCK.match, keys) if found}
    for name, kind in blocks.items():
        block = net.get_submodule(name)
        for parameter in block.get_submodule(_LAST[kind]).parameters():
            nn.init.zeros_(parameter)
        shortcut = getattr(block, "conv_shortcut", None)
        if shortcut is not None:
            with torch.no_grad():
                nn.init.dirac_(shortcut.weight)
                nn.init.zeros_(shortcut.bias)
