"""AdamW with states of 8 bits, through bitsandbytes (Dettmers et al., arXiv 2110.02861)."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from idiff.errors import ConfigError


def eight_bit(parameters: Iterable[nn.Parameter], **settings: Any) -> torch.optim.Optimizer:
    """Make the optimizer; its two states take 2 bytes a weight instead of 8.

    Args:
        parameters: what is trained.
        settings: lr, betas, weight_decay.

    Raises:
        ConfigError: bitsandbytes is missing.
    """
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            "model.optimizer 'adamw8bit' needs the package bitsandbytes, which is not installed: pip install 'idiff[gpu]', or set "
            "model.optimizer: adamw, whose states take four times as much memory."
        )
    from bitsandbytes.optim import AdamW8bit

    made: torch.optim.Optimizer = AdamW8bit(parameters, **settings)
    return made
