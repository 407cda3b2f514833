"""Networks of diffusers and transformers, built from the arguments of their constructors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from idiff.errors import CheckpointError, ConfigError, unknown
from idiff.models.outline import left_out, outline, outline_mode
from idiff.models.weight_files import variant_of
from idiff.utils.foreign import decoding

Network = TypeVar("Network")

BUFFERS = ("position_ids",)
"""Endings of keys that older files hold and newer classes compute."""


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
        with outline_mode() if left_out() else nullcontext():
            return kind(**config)
    except Exception as error:  # the libraries raise many kinds
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"the {part}'s config cannot be built: {reason}. Correct its values.") from error


def in_type_of(net: Any, values: Tensor) -> Tensor:
    """Values in the type of a network's weights where these are of half precision; as they are for float32, under autocast too."""
    kind = _type(net)
    return values if kind == torch.float32 else values.to(kind)


def in_float(net: Any, values: Tensor) -> Tensor:
    """What a network gave, in float32 where its weights are of half precision; see `in_type_of`."""
    return values.float() if _type(net).itemsize < 4 else values


def _type(net: Any) -> torch.dtype:
    """The type of the first weight; diffusers' own `dtype` walks through the whole network each time it is asked."""
    found: torch.dtype = next(each.dtype for each in net.parameters() if each.is_floating_point())
    return found


def check_arguments(kind: Callable[..., Any], config: Mapping[str, Any], *, part: str) -> None:
    """Refuse an argument that a network does not take.

    Raises:
        ConfigError: names the first of them, and all that it takes.
    """
    known = inspect.signature(kind).parameters
    for name in config:
        if name not in known:
            raise unknown(f"setting of the {part}'s config", str(name), known)


def load_network(kind: Any, folder: Path, *, part: str, **options: Any) -> Any:
    """Load a network from a folder in the hub's layout. Every weight must be there, and no other.

    The libraries' own `from_pretrained` fills missing weights at random with a warning: such a network would train on noise.

    Args:
        kind: a class of diffusers or transformers.
        folder: with `config.json` and the weights.
        part: names the network in errors, such as `autoencoder`.
        options: further arguments of `from_pretrained`.

    Raises:
        CheckpointError: the folder cannot be read, or its keys are not those of the network; the first of them are named.
    """
    if left_out():
        return outline(kind, folder, part=part)
    variant = variant_of(Path(folder), part=part)
    if variant:
        options["variant"] = variant
    options["use_safetensors"] = _safe(folder)
    with (
        decoding(
            lambda reason: CheckpointError(f"the {part} in {folder} cannot be read: {reason}. Get the folder again.")
        ),
        quiet(),
    ):
        net, found = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    wrong = {
        "missing": _keys(found.get("missing_keys")),
        "left over": _keys(found.get("unexpected_keys")),
        "of another shape": _keys(found.get("mismatched_keys")),
    }
    said = [f"{len(keys)} {what} ({', '.join(keys[:3])})" for what, keys in wrong.items() if keys]
    if said:
        raise CheckpointError(
            f"the {part} in {folder} does not fit its config.json: weights are {'; '.join(said)}. Get the whole folder again, or "
            "the config.json that belongs to these weights."
        )
    refuse_not_finite(net.state_dict(), origin=f"the {part} in {folder}")
    return net


def _safe(folder: Path) -> bool | None:
    """False where a folder has weights as .bin alone, which both libraries read without running anything; None: as they choose."""
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    binary = any(name.endswith(".bin") for name in names)
    return False if binary and not any(name.endswith(".safetensors") for name in names) else None


def refuse_not_finite(state: Mapping[str, Tensor], *, origin: str) -> None:
    """Refuse weights with NaN or infinity, as a training that diverged leaves them.

    Raises:
        CheckpointError: names the first of them.
    """
    if left_out():
        return
    wrong = [name for name, value in state.items() if not bool(value.isfinite().all())]
    if wrong:
        raise CheckpointError(
            f"{origin} holds NaN or infinity in {len(wrong)} weights ({', '.join(wrong[:3])}): its training diverged, or the file "
            "is damaged. Use an earlier checkpoint or get the file again."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers and diffusers, which read and write in a moment what is on the disk."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    shown = [each for each in (transformers_logging, diffusers_logging) if each.is_progress_bar_enabled()]
    for each in shown:
        each.disable_progress_bar()
    try:
        yield
    finally:
        for each in shown:
            each.enable_progress_bar()


def _keys(keys: Any) -> list[str]:
    names = [str(key[0]) if isinstance(key, tuple) else str(key) for key in keys or ()]
    return sorted(name for name in names if not name.endswith(BUFFERS))
