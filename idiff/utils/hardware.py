"""Detects bfloat16 support of the processor."""

from __future__ import annotations

from typing import Any

import torch


def fast_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 by itself (AVX-512 or AMX). Elsewhere bfloat16 is many times slower than float32."""
    ask: Any = getattr(torch.cpu, "get_capabilities", dict)
    known: dict[str, Any] = ask()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))
