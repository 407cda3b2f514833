"""What the hardware can do: bfloat16 of the processor, and whether a device is there."""

from __future__ import annotations

from typing import Any

import torch

from idiff.errors import ConfigError, unknown

AUTO = "auto"
"""The device that is the best of this machine."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types that a model's weights may have when it is asked; what is sampled is float32 always."""


def fast_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 by itself (AVX-512 or AMX). Elsewhere bfloat16 is many times slower than float32."""
    ask: Any = getattr(torch.cpu, "get_capabilities", dict)
    known: dict[str, Any] = ask()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16"))


def usable_device(name: Any, *, setting: str = "device") -> torch.device:
    """A device by its name, once something was computed on it.

    Args:
        name: such as `cpu`, `cuda` or `cuda:1`.
        setting: what named it, for the error.

    Raises:
        ConfigError: there is no such device here.
    """
    try:
        place = torch.device(name)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(":")[0].rstrip(".")
        raise ConfigError(
            f"{setting} {name} cannot be used ({reason[:120]}): expected {' or '.join(_devices())} on this machine."
        ) from None
    if place.type == "meta":
        raise ConfigError(f"{setting} meta holds no values: expected {' or '.join(_devices())} on this machine.")
    return place


def chosen_device(name: str | None) -> torch.device:
    """A usable device; `auto` and None: a CUDA device where there is one, else Apple's, else the processor.

    Raises:
        ConfigError: there is no such device here.
    """
    if name not in {None, AUTO}:
        return usable_device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def weight_type(name: str | None) -> torch.dtype:
    """The type of weights by its name; None: float32.

    Raises:
        ConfigError: it is not one of `DTYPES`.
    """
    if name is not None and name not in DTYPES:
        raise unknown("dtype", name, DTYPES)
    return DTYPES[name or "float32"]


def _devices() -> list[str]:
    """Names of the devices of this machine."""
    cards = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return ["cpu", *cards, *(["mps"] if torch.backends.mps.is_available() else [])]
