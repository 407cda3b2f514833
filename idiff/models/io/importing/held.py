"""What a file of weights holds: one dictionary of tensors in CompVis' names, averaged weights beside it, and the rest by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from idiff.errors import CheckpointError
from idiff.models.io.importing.pickles import Placeholder, read_torch

UNET = "model.diffusion_model."
EMA = "model_ema."
WEIGHTS = (".ckpt", ".safetensors", ".pth", ".pt", ".bin")
"""Endings of files of weights."""

COUNTERS = ("decay", "num_updates")
"""What a running average holds besides weights."""

HOLDERS = ("state_dict", "model")
"""Where the weights are: of Lightning, and of a training state."""

TRAINING_STATE = "training state"
"""The layout of InstructDiffusion's own training: `model`, `model_ema` and the optimizer."""


@dataclass(slots=True)
class Held:
    """A single file of weights, read.

    Attributes:
        file: where it lies.
        tensors: by name; large ones stay on the disk until they are used.
        averaged: running averages by their names without dots.
        left_out: what else the file holds -> why it is no weight.
        layouts: what the layout tells of its writer.
        step: optimizer steps taken, where the file says so.
    """

    file: Path
    tensors: dict[str, Tensor]
    averaged: dict[str, Tensor] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    layouts: tuple[str, ...] = ()
    step: int = 0


def read_held(file: Path) -> Held:
    """Read a `.safetensors` file or one of `torch.save`: weights alone, a Lightning checkpoint, or a training state.

    Raises:
        CheckpointError: damaged, or without weights.
    """
    if file.suffix == ".safetensors":
        held = _read_safetensors(file)
    else:
        content = read_torch(file)
        if not isinstance(content, Mapping):
            raise CheckpointError(f"{file} holds {type(content).__name__}: expected a dictionary of weights.")
        held = _of_content(file, content)
    for name in [name for name in held.tensors if name.startswith(EMA)]:
        held.averaged[name.removeprefix(EMA)] = held.tensors.pop(name)
    for name in [name for name in COUNTERS if name in held.averaged]:
        held.left_out[EMA + name] = "a counter of the running average"
        del held.averaged[name]
    if not held.tensors:
        raise CheckpointError(f"{file} holds no weights: expected tensors under model.diffusion_model. and the like.")
    return held


def is_ours(file: Path) -> bool:
    """Whether a file is a training checkpoint of this project; a damaged one is not."""
    content = _content(file)
    return "backbone" in content and "state_dict" in content


def is_foreign(file: Path) -> bool:
    """Whether a file holds a U-Net in CompVis' names; a damaged one does not."""
    if file.suffix == ".safetensors":
        return True
    content = _content(file)
    weights = next((content[name] for name in HOLDERS if isinstance(content.get(name), Mapping)), content)
    return "backbone" not in content and any(str(name).startswith(UNET) for name in weights)


def _content(file: Path) -> Mapping[Any, Any]:
    try:
        content = {} if file.suffix == ".safetensors" else read_torch(file)
    except CheckpointError:
        return {}
    return content if isinstance(content, Mapping) else {}


def _read_safetensors(file: Path) -> Held:
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} cannot be read as safetensors ({' '.join(str(error).split())[:160]}): it is cut short or damaged. "
            "Get it again."
        ) from None
    return Held(file, tensors)


def _of_content(file: Path, content: Mapping[Any, Any]) -> Held:
    """The weights of what torch.save wrote: under `state_dict` (Lightning), under `model` (a training state), or at the top."""
    if "backbone" in content and "state_dict" in content:
        raise CheckpointError(f"{file} is a training checkpoint of this project: `idiff export` makes a folder of it.")
    under = next((name for name in HOLDERS if isinstance(content.get(name), Mapping)), None)
    weights = content if under is None else content[under]
    held = Held(file, {})
    for name, value in weights.items():
        if isinstance(name, str) and isinstance(value, Tensor):
            held.tensors[name] = value
        else:
            held.left_out[_word(name)] = "no tensor"
    if under is None:
        return held
    for name, value in content.items():
        if name == "model_ema" and isinstance(value, Mapping):
            for key, average in value.items():
                if isinstance(average, Tensor):
                    held.averaged[_flat(str(key).removeprefix(EMA))] = average
        elif name != under:
            held.left_out[_word(name)] = "state of the training, no weights"
    if under == "model" and "model_ema" in content:
        held.layouts = (TRAINING_STATE,)
    step = content.get("global_step")
    held.step = step if type(step) is int and step >= 0 else 0
    return held


def _flat(name: str) -> str:
    return name if name in COUNTERS else name.replace(".", "")


def _word(name: Any) -> str:
    return name.name if isinstance(name, Placeholder) else str(name)
