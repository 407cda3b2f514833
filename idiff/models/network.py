"""Networks of diffusers and transformers, built from the arguments of their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from idiff.errors import ConfigError, unknown

Network = TypeVar("Network")


def build_network(kind: Callable[..., Network], config: Mapping[str, Any], *, part: str) -> Network:
    """Build a network.

    Args:
        kind: its class, or another maker whose signature names all arguments.
        config: the arguments.
        part: names the network in errors, such as `autoencoder`.

    Raises:
        ConfigError: an argument that the class does not take, or a value that it cannot use.
    """
    check_arguments(kind, config, part=part)
    try:
        return kind(**config)
    except Exception as error:  # the libraries raise many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"the {part}'s config cannot be built: {reason}. Correct its values.") from error


def check_arguments(kind: Callable[..., Any], config: Mapping[str, Any], *, part: str) -> None:
    """Refuse an argument that a network does not take.

    Raises:
        ConfigError: names the first of them, and all that it takes.
    """
    known = inspect.signature(kind).parameters
    for name in config:
        if name not in known:
            raise unknown(f"setting of the {part}'s config", str(name), known)
