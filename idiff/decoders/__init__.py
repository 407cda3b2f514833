"""Read answers back out of painted images.

`build` makes a decoder by its name in a configuration; `locate` turns its score maps into points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from idiff.decoders.base import Decoder
from idiff.decoders.color import ColorDecoder
from idiff.decoders.learned import UNetDecoder
from idiff.decoders.points import locate
from idiff.decoders.queries import query_colors
from idiff.errors import ConfigError, unknown

DECODERS: Mapping[str, Callable[..., Decoder]] = {"color": ColorDecoder, "unet": UNetDecoder}
"""Decoders by the name that a configuration gives."""

__all__ = ["DECODERS", "ColorDecoder", "Decoder", "UNetDecoder", "build", "locate", "query_colors"]


def build(name: str, **kwargs: Any) -> Decoder:
    """Build a decoder.

    Args:
        name: a key of `DECODERS`.
        kwargs: arguments of its class.

    Raises:
        ConfigError: no decoder has this name, or it does not take these arguments.
        CheckpointError: its weights cannot be read.
    """
    if name not in DECODERS:
        raise unknown("decoder", name, DECODERS)
    try:
        return DECODERS[name](**kwargs)
    except TypeError as error:
        raise ConfigError(f"decoder '{name}' refuses {kwargs}: {error}") from error
