"""Models without values: the architecture alone, to count what a training would take before any weights are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from idiff.errors import CheckpointError

_entered: list[bool] = []


@cache
def outline_mode() -> FakeTensorMode:
    """The one mode that all tensors without values belong to; entered, everything that is made has shapes alone."""
    return FakeTensorMode(allow_non_fake_inputs=True)


@contextmanager
def weights_left_out() -> Iterator[None]:
    """Inside, `idiff.models.network` gives networks without values; everything else is as usual."""
    _entered.append(True)
    try:
        yield
    finally:
        _entered.pop()


def left_out() -> bool:
    """Whether `weights_left_out` is entered."""
    return bool(_entered)


def outline(kind: Any, folder: Path, *, part: str) -> Any:
    """A network by its config.json alone; there has to be a file of weights beside it.

    Args:
        kind: a class of diffusers or transformers.
        folder: in the hub's layout.
        part: names the network in errors.

    Raises:
        CheckpointError: there is none, or the config cannot be read.
    """
    if not any(file.suffix in {".safetensors", ".bin"} for file in folder.iterdir()):
        raise CheckpointError(
            f"the {part} in {folder} has no weights beside its config.json. Get the whole folder again."
        )
    try:
        with outline_mode():
            if hasattr(kind, "load_config"):
                return kind.from_config(kind.load_config(folder, local_files_only=True))
            return kind(kind.config_class.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the {part} in {folder} cannot be read: {reason}. Get the folder again.") from error


def emptied(module: nn.Module) -> nn.Module:
    """The module, in place, with every parameter and buffer that has values replaced by one that has none."""
    mode = outline_mode()
    for each in module.modules():
        for name, value in list(each._parameters.items()):
            if value is not None:
                each._parameters[name] = nn.Parameter(
                    mode.from_tensor(value.detach()), requires_grad=value.requires_grad
                )
        for name, buffer in list(each._buffers.items()):
            if buffer is not None:
                each._buffers[name] = mode.from_tensor(buffer)
    return module
