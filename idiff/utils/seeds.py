"""Randomness as a function: every generator is built from a seed and the place it is used at.

Nothing here keeps state, so a run that is cut and continued draws what an uncut run draws.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

_MASK = (1 << 63) - 1


def hash64(*parts: int | str) -> int:
    """Hash whole numbers and strings to 63 bits with BLAKE2b (Python's own `hash` is salted).

    >>> hash64(1, "noise", 7) == hash64(1, "noise", 7)
    True
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") & _MASK


def numpy_rng(seed: int, *place: int | str) -> np.random.Generator:
    """Counter-based numpy generator for a place, such as `numpy_rng(seed, "augment", position)`."""
    return np.random.Generator(np.random.Philox(key=[seed & _MASK, hash64(*place)]))


def torch_rng(seed: int, *place: int | str) -> torch.Generator:
    """CPU torch generator for a place, such as `torch_rng(seed, "noise", position)`."""
    return torch.Generator().manual_seed(hash64(seed, *place))
