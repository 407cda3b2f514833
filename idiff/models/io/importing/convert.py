"""From CompVis' names to diffusers' and transformers', by diffusers' own conversion; every key is followed on its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from diffusers.utils import logging as diffusers_logging
from torch import Tensor, nn

from idiff.errors import CheckpointError
from idiff.models.io.importing.keys import KeyReport
from idiff.models.network import refuse_not_finite

TEXT_MODEL = "text_model."
"""Stands before the text encoder's names in transformers 4, and no more in transformers 5."""


@dataclass(slots=True)
class _Followed:
    """A tensor that remembers its key while diffusers' conversion carries it around."""

    key: str
    tensor: Tensor
    changed: bool = False

    @property
    def shape(self) -> torch.Size:
        return self.tensor.shape

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    def __getitem__(self, index: Any) -> _Followed:
        return _Followed(self.key, self.tensor[index], changed=True)


def converted(part: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, _Followed]:
    """A part's weights by the names that diffusers or transformers has for them.

    Args:
        part: `unet`, `vae` or `text_encoder`.
        tensors: by their whole names in the file.
        config: of the network.
    """
    followed = {key: _Followed(key, tensor) for key, tensor in tensors.items()}
    if part == "unet":
        result = convert_ldm_unet_checkpoint(followed, dict(config))
    elif part == "vae":
        result = convert_ldm_vae_checkpoint(followed, dict(config))
    else:
        result = convert_ldm_clip_checkpoint(followed)
        result = {key.removeprefix(TEXT_MODEL): value for key, value in result.items()}
    return {key: value for key, value in result.items() if value is not None}


def fill(
    net: nn.Module,
    part: str,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    *,
    expected: set[str] | None,
    averaged: Mapping[str, str],
    report: KeyReport,
    origin: str,
) -> None:
    """Give a network its weights: every one of it, and every key of the part.

    Args:
        net: built from `config`; its weights may lie on the meta device.
        part: as `converted`.
        tensors: as `converted`.
        config: as `converted`.
        expected: the keys that a file has of this network; None: not known.
        averaged: keys whose weight is a running average -> the key of that.
        report: gets a row for each key.
        origin: names the file.

    Raises:
        CheckpointError: a weight is missing, left over, of another shape or not finite; it is named as in the file.
    """
    if expected is not None:
        _refuse(part, missing=sorted(expected - set(tensors)), over=sorted(set(tensors) - expected), origin=origin)
    try:
        given = converted(part, tensors, config)
    except (KeyError, AttributeError) as error:
        raise CheckpointError(
            f"the {part} in {origin} is not Stable Diffusion 1's: {error}. Get the original file."
        ) from None
    own = {key.removeprefix(TEXT_MODEL): key for key in net.state_dict()}
    used = {value.key for key, value in given.items() if key in own}
    missing = [f"{part}/{key}" for short, key in own.items() if short not in given]
    _refuse(part, missing=missing, over=[key for key in tensors if key not in used], origin=origin)
    shapes = {key: value.shape for key, value in net.state_dict().items()}
    wrong = [value for key, value in given.items() if value.shape != shapes[own[key]]]
    if wrong:
        key = next(key for key, value in given.items() if value is wrong[0])
        raise CheckpointError(
            f"{origin}: {wrong[0].key} has the shape {tuple(tensors[wrong[0].key].shape)}, expected "
            f"{shapes[own[key]].numel():,} values as {tuple(shapes[own[key]])}. Get the original file."
        )
    odd = [value for value in given.values() if not value.tensor.is_floating_point()]
    if odd:
        raise CheckpointError(
            f"{origin}: {odd[0].key} is of type {str(odd[0].tensor.dtype).removeprefix('torch.')}, expected floating-point "
            "numbers: weights packed in integers do not come in. Get the original file."
        )
    refuse_not_finite({value.key: value.tensor for value in given.values()}, origin=origin)
    half = all(value.tensor.dtype == torch.float16 for value in given.values())
    dtype = torch.float16 if half else torch.float32
    state = {own[key]: value.tensor.to(dtype).contiguous() for key, value in given.items()}
    net.load_state_dict(state, assign=True)
    for key, value in given.items():
        to, why = f"{part}/{own[key]}", ["a 1x1 convolution as a linear layer"] if value.changed else []
        if value.key in averaged:
            report.left_out(value.key, "its running average is taken")
            report.converted(averaged[value.key], to, ", ".join(["dots put back in the name", *why]))
        elif why:
            report.converted(value.key, to, *why)
        else:
            report.loaded(value.key, to)


def _refuse(part: str, *, missing: list[str], over: list[str], origin: str) -> None:
    """Refuse keys that are missing or left over.

    Raises:
        CheckpointError: names the first of them.
    """
    kinds = {"missing": missing, "that do not belong to it": over}
    said = [f"{len(keys)} keys {what} ({', '.join(keys[:3])})" for what, keys in kinds.items() if keys]
    if said:
        raise CheckpointError(
            f"the {part} in {origin} has {' and '.join(said)}: they were cut off, renamed or prefixed, or it is another network. "
            "Get the original file."
        )


@contextmanager
def silent() -> Iterator[None]:
    """Keep diffusers' warnings about averages to itself: whether they are taken is decided and said here."""
    before = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    try:
        yield
    finally:
        diffusers_logging.set_verbosity(before)
