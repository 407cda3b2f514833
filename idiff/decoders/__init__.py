"""Read answers back out of painted images.

`build` makes a decoder by its name in a configuration; `locate` turns its score maps into points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from idiff.checks import is_path
from idiff.decoders.base import Decoder
from idiff.decoders.color import ColorDecoder
from idiff.decoders.learned import UNetDecoder
from idiff.decoders.points import locate
from idiff.decoders.queries import query_colors
from idiff.errors import ConfigError, unknown
from idiff.utils.lookup import find_class

DECODERS: Mapping[str, Callable[..., Decoder]] = {"color": ColorDecoder, "unet": UNetDecoder}
"""Decoders by the name that a configuration gives."""

__all__ = ["DECODERS", "ColorDecoder", "Decoder", "UNetDecoder", "build", "locate", "query_colors"]


def build(name: str, **kwargs: Any) -> Decoder:
    """Build a decoder.

    Args:
        name: a key of `DECODERS`, or the path of a class of one's own, `module.Class`.
        kwargs: arguments of its class.

    Raises:
        ConfigError: no decoder has this name, it does not take these arguments, or it has no `scores` and `describe`.
        CheckpointError: its weights cannot be read.
    """
    if name not in DECODERS and not is_path(name):
        raise unknown("decoder", name, DECODERS)
    kind = DECODERS[name] if name in DECODERS else find_class(name, what="decoder")
    try:
        decoder: Decoder = kind(**kwargs)
    except TypeError as error:
        raise ConfigError(f"decoder '{name}' refuses {kwargs}: {error}") from error
    if not isinstance(decoder, Decoder):
        raise ConfigError(
            f"decoder '{name}' lacks `scores` or `describe`: expected the methods of idiff.decoders.Decoder."
        )
    return decoder
