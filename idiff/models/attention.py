"""Attention under autocast on the CPU, where torch's fused kernels are slow in bfloat16."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

MOST_SCORES = 2**24
"""Scores (B, heads, N, M) of a call that are held in memory at once: 32 MiB in bfloat16."""


class _ForCPU(TorchFunctionMode):
    """Computes `scaled_dot_product_attention` by two matrix products or, where their scores are many, in float32."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is not F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return attention(*args, **(kwargs or {}))


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **options: Any) -> Tensor:
    """`scaled_dot_product_attention` of the CPU under autocast, in the type of the queries; same arguments.

    Queries are (B, heads, N, D), keys and values (B, heads, M, D). A plain call with at most `MOST_SCORES` scores is two matrix
    products, any other one torch's own kernel in float32. Keys are centred first: that changes no weight, and scores are rounded
    less (Zhang et al., SageAttention, ICLR 2025, section 4.2).
    """
    plain = attn_mask is None and all(not value for name, value in options.items() if name != "scale")
    if plain and query.shape[:-1].numel() * key.shape[-2] <= MOST_SCORES:
        scale = options.get("scale") or query.shape[-1] ** -0.5
        centred = key - key.mean(dim=-2, keepdim=True)
        weights = ((query * scale) @ centred.transpose(-2, -1)).softmax(dim=-1)
        return torch.matmul(weights, value)
    with torch.autocast("cpu", enabled=False):
        mask = attn_mask.float() if attn_mask is not None and attn_mask.is_floating_point() else attn_mask
        found = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask, **options)
    return found.to(query.dtype)


def quick_on_cpu(inputs: Tensor, *, recomputed: bool = False) -> AbstractContextManager[Any]:
    """A context for a network's call: `attention` where CPU autocast holds; elsewhere it changes nothing.

    Args:
        inputs: of the network.
        recomputed: gradient checkpointing computes parts of the call again, outside of this context: it then changes nothing.
    """
    real = type(inputs) is Tensor  # what memory a dry run counts is that of a GPU
    mixed = real and inputs.device.type == "cpu" and torch.is_autocast_enabled("cpu") and not recomputed
    return _ForCPU() if mixed else nullcontext()
