"""Weights of one model go over into another: what fits is loaded, and every weight is accounted for."""

from __future__ import annotations

import torch
from torch import Tensor

from idiff.errors import CheckpointError
from idiff.models.backbone import LatentDiffusion
from idiff.models.growing import SILENT, added, layers, moved, silence
from idiff.models.io.checkpoint import assign, frozen_folders, frozen_prefixes
from idiff.models.io.provenance import CONV_OUT, Provenance
from idiff.models.outline import left_out
from idiff.models.unet import CONV_IN, narrowed_words, widened, widened_words

HEAD = "recognition."


def transfer_weights(backbone: LatentDiffusion, state: dict[str, Tensor], *, origin: str) -> Provenance:
    """Load what another model has of this one's trained weights, and say where every weight is from.

    A text-to-image model (C channels in) becomes an edit model (2C channels): the first convolution is widened with zeros
    (InstructPix2Pix, section 3.2), and the last one of a residual model is set to zero, as for new weights. Attention
    and residual blocks that the other model lacks start silent. Frozen parts stay this model's own.

    Args:
        backbone: takes the weights; `backbone.provenance` and `backbone.report` are set.
        state: of the other model, frozen parts included where there are any.
        origin: its name.

    Returns:
        what was loaded, changed, made new, kept and left out.

    Raises:
        CheckpointError: the other model's U-Net has more layers, or anything but these and the training head `AuxiliaryLoss`
            differs; nothing is loaded then.
    """
    frozen = frozen_prefixes(backbone)
    own = {key: value for key, value in backbone.state_dict().items() if not key.startswith(frozen)}
    _refuse_deeper(state, list(own), origin=origin)
    given = moved({key: value for key, value in state.items() if not key.startswith(frozen)}, own)
    record = Provenance()
    channels = backbone.autoencoder.channels
    if backbone.with_source and CONV_IN in given and given[CONV_IN].shape[1] == channels:
        given[CONV_IN] = widened(given[CONV_IN], channels)
        record.changed[CONV_IN] = widened_words(channels, origin=origin)
        if backbone.objective.residual:
            given |= {key: torch.zeros_like(given[key]) for key in CONV_OUT if key in given}
    if not backbone.with_source and CONV_IN in given and not given[CONV_IN][:, channels:].any():
        if given[CONV_IN].shape[1] == 2 * channels:
            record.changed[CONV_IN] = narrowed_words(channels, origin=origin)
        given[CONV_IN] = given[CONV_IN][:, :channels]
    grown = added(own, given)
    new = grown + [key for key in own if key not in given and key.startswith(HEAD)]
    out = [key for key in given if key not in own and key.startswith(HEAD)]
    kept = {key: value for key, value in given.items() if key not in out}
    assign(backbone, kept | {key: own[key] for key in new}, origin=origin)
    silence(backbone, grown)
    record.loaded = {key: origin for key in kept if key not in record.changed}
    record.new = {key: SILENT if key in grown else "random" for key in new}
    record.left_out = dict.fromkeys(out, f"in {origin}: a head for training alone")
    if CONV_IN in record.changed and not backbone.with_source:
        record.said.append(f"U-Net: {channels} input channels of zeros left out")
    elif CONV_IN in record.changed:
        record.said.append(f"U-Net: first convolution widened {channels} -> {2 * channels} with zeros")
        if backbone.objective.residual:
            record.start_as_copy()
    trained = "U-Net and text encoder" if backbone.text.reference is None else "U-Net"
    record.said.insert(0, f"{trained}: {len(record.loaded)} weights loaded from {origin}")
    record.said += [f"{len(new)} weights are new: {_some(new)}"] if new else []
    record.said += [f"{len(out)} weights left out: {', '.join(out)}"] if out else []
    _keep_frozen(backbone, state, record=record, origin=origin)
    backbone.provenance, backbone.report = record, record.said
    return record


def _refuse_deeper(state: dict[str, Tensor], own: list[str], *, origin: str) -> None:
    """Layers are added to a U-Net, never taken away."""
    has = layers(own)
    for where, count in layers(state).items():
        if ".down_blocks." in where and count > has.get(where, count):
            raise CheckpointError(
                f"{origin} has {count} layers in {where}, and this model {has[where]}: set model.backbone.unet.layers_per_block "
                f"to {count} or more."
            )


def _keep_frozen(backbone: LatentDiffusion, state: dict[str, Tensor], *, record: Provenance, origin: str) -> None:
    """Note the frozen parts, and say where the other model was trained with other ones."""
    parts = frozen_folders(backbone)
    own = backbone.state_dict()
    record.complete(list(own), frozen=parts)
    for prefix, folder in parts.items():
        theirs = {key: value for key, value in state.items() if key.startswith(prefix)}
        other = [key for key, value in theirs.items() if key not in own or not _alike(value, own[key])]
        record.left_out |= dict.fromkeys(other, f"in {origin}: {folder} is used instead")
        if other:
            record.said.append(
                f"{len(other)} weights of {prefix.rstrip('.')} left out: {origin} was trained with another one than {folder}"
            )


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal up to the rounding of half precision."""
    return one.shape == other.shape and (left_out() or torch.allclose(one.float(), other.float(), rtol=2e-3, atol=1e-4))


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
