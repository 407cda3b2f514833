"""Attention under autocast on the CPU: in float32, where torch's kernels are faster than in bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class _InFloat(TorchFunctionMode):
    """Computes `scaled_dot_product_attention` in float32 and gives its result in the type of the queries."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        with torch.autocast("cpu", enabled=False):
            query, key, value = (each.float() for each in args)
            return func(query, key, value, **(kwargs or {})).to(args[0].dtype)


def in_float_on_cpu(inputs: Tensor, *, recomputed: bool = False) -> AbstractContextManager[Any]:
    """A context for a network's call: attention in float32 where CPU autocast holds; elsewhere it changes nothing.

    Args:
        inputs: of the network.
        recomputed: gradient checkpointing computes parts of the call again, outside of this context: it then changes nothing.
    """
    real = type(inputs) is Tensor  # what memory a dry run counts is that of a GPU
    mixed = real and inputs.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not recomputed
    return _InFloat() if mixed else nullcontext()
