"""Whether a network that a file describes is as large as the weights in it, found before any of it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from idiff.errors import CheckpointError

_FAR = 4
"""How many times larger than its weights a network may be and still be made, to compare it weight by weight."""

_DEPTHS = ("layers_per_block", "transformer_layers_per_block", "num_hidden_layers")
_BLOCKS = ("block_out_channels", "down_block_types", "up_block_types")


def refuse_larger(
    make: Callable[[], nn.Module], config: Mapping[str, Any], held: Mapping[str, Tensor], *, part: str, origin: str
) -> None:
    """Refuse a description of more than there are weights for, without room for the network itself.

    Args:
        make: builds the network.
        config: what it is built from.
        held: its weights.
        part: names the network in errors.
        origin: names the file.

    Raises:
        CheckpointError: the network has more layers, or `_FAR` times the parameters, of the weights.
    """
    have = sum(value.numel() for value in held.values())
    depth = prod(_largest(config.get(name)) for name in _DEPTHS) * max(_length(config.get(name)) for name in _BLOCKS)
    if depth <= len(held):
        with torch.device("meta"):
            described = sum(value.numel() for value in make().state_dict().values())
        if described <= _FAR * have:  # of what is a little larger, the missing weights can be named
            return
        more = f"{described:,} parameters"
    else:
        more = f"{depth:,} layers"
    raise CheckpointError(
        f"{origin} describes a {part} of {more}, and holds {have:,} numbers in {len(held):,} tensors for it: it is damaged or not "
        "whole. Use another checkpoint."
    )


def _largest(value: Any) -> int:
    """The largest whole number in a setting that is one, or a list of them, or of lists."""
    if isinstance(value, list | tuple):
        return max((_largest(each) for each in value), default=1)
    return max(value, 1) if isinstance(value, int) else 1


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list | tuple) else 1
