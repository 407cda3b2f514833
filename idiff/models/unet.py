"""The U-Net: built from a config or loaded, and widened for a source image. diffusers' UNet2DConditionModel."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from idiff.errors import CheckpointError, ConfigError
from idiff.models.growing import SILENT, grow
from idiff.models.io.folders import subfolder
from idiff.models.io.provenance import Provenance
from idiff.models.network import build_network, load_network

UNET = "unet."
CONV_IN = "unet.conv_in.weight"


def build_unet(
    config: dict[str, Any] | None, *, weights: str | None, latent_channels: int, context: int, with_source: bool
) -> tuple[UNet2DConditionModel, Provenance]:
    """Build or load the U-Net.

    Args:
        config: arguments of `UNet2DConditionModel` but for channels and context width. Together with weights: what is to be
            other than there. Only attention and residual blocks can be added so; they are silent at first.
        weights: folder in the hub's layout to start from.
        latent_channels: C of the autoencoder.
        context: width D of the text states.
        with_source: 2C channels in instead of C.

    Returns:
        the U-Net, and where its weights come from, with keys as in `LatentDiffusion.state_dict`.

    Raises:
        ConfigError: neither config nor weights, or a config that the weights do not fit.
        CheckpointError: the loaded U-Net does not fit the autoencoder or the text encoder.
    """
    if config is None and weights is None:
        raise ConfigError(
            "the U-Net needs a config (unet), weights (unet_weights), or weights and what is to be added to them"
        )
    channels = latent_channels * (2 if with_source else 1)
    record = Provenance()
    if config is not None and weights is None:
        fixed = {"in_channels": channels, "out_channels": latent_channels, "cross_attention_dim": context}
        net = build_network(UNet2DConditionModel, {**config, **fixed}, part="U-Net")
        record.new = dict.fromkeys(_keys(net), "random")
        record.said.append("U-Net: every weight is new")
        return net, record
    folder = subfolder(str(weights), "unet")
    net = load_network(UNet2DConditionModel, folder, part="U-Net", low_cpu_mem_usage=False)
    record.sources.append({"path": str(weights), "kind": "unet", "sha256": None, "step": None})
    record.loaded = dict.fromkeys(_keys(net), str(folder))
    record.said.append(f"U-Net: every weight loaded from {folder}")
    if net.config.out_channels != latent_channels or net.config.cross_attention_dim != context:
        raise CheckpointError(
            f"{folder} holds a U-Net with {net.config.out_channels} latent channels and text width "
            f"{net.config.cross_attention_dim}: expected {latent_channels} and {context}, those of the autoencoder and text encoder"
        )
    if net.config.in_channels == latent_channels and with_source:
        widen(net, latent_channels)
        del record.loaded[CONV_IN]
        record.changed[CONV_IN] = widened_words(latent_channels, origin=str(folder))
        record.said.append(f"U-Net: first convolution widened {latent_channels} -> {channels} with zeros")
    elif (
        net.config.in_channels == 2 * latent_channels
        and not with_source
        and not net.conv_in.weight[:, latent_channels:].any()
    ):
        narrow(net, latent_channels)
        del record.loaded[CONV_IN]
        record.changed[CONV_IN] = narrowed_words(latent_channels, origin=str(folder))
        record.said.append(f"U-Net: {latent_channels} input channels of zeros are left out, {channels} stay")
    elif net.config.in_channels != channels:
        raise CheckpointError(f"{folder} takes {net.config.in_channels} channels: expected {channels}")
    if config is not None:
        net, new = grow(net, config)
        record.new = {UNET + key: SILENT for key in new}
        record.said += [f"U-Net: {len(new)} weights of blocks are new: these start silent"] if new else []
    return net, record


def _keys(net: nn.Module) -> list[str]:
    return [UNET + key for key in net.state_dict()]


def widened_words(channels: int, *, origin: str) -> str:
    """What a widened first convolution is, in words."""
    return f"from {origin}, widened {channels} -> {2 * channels} channels with zeros for the source"


def widen(net: UNet2DConditionModel, extra: int) -> None:
    """Give the first convolution `extra` more input channels, initialised to zero (InstructPix2Pix, section 3.2). In place."""
    old = net.conv_in
    new = nn.Conv2d(old.in_channels + extra, old.out_channels, kernel_size=3, padding=1)
    with torch.no_grad():
        new.weight.copy_(widened(old.weight, extra))
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    net.conv_in = new
    net.register_to_config(in_channels=new.in_channels)


def narrow(net: UNet2DConditionModel, channels: int) -> None:
    """Leave the first convolution its first `channels` input channels, the inverse of `widen`. In place."""
    old = net.conv_in
    new = nn.Conv2d(channels, old.out_channels, kernel_size=3, padding=1)
    with torch.no_grad():
        new.weight.copy_(old.weight[:, :channels])
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    net.conv_in = new
    net.register_to_config(in_channels=channels)


def narrowed_words(channels: int, *, origin: str) -> str:
    """What a first convolution without its channels of zeros is, in words."""
    return f"from {origin}, {channels} channels of zeros for the source left out"


def widened(weight: Tensor, extra: int) -> Tensor:
    """Weights (O, I, h, w) of a convolution with `extra` input channels of zeros after its own: (O, I + extra, h, w)."""
    zeros = weight.new_zeros(weight.shape[0], extra, *weight.shape[2:])
    return torch.cat([weight.detach(), zeros], dim=1)
