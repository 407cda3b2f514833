"""The U-Net: built from a config or loaded, and widened for a source picture. diffusers' UNet2DConditionModel."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import nn

from idiff.errors import CheckpointError, ConfigError
from idiff.models.folders import subfolder


def build_unet(
    config: dict[str, Any] | None, *, weights: str | None, latent_channels: int, context: int, with_source: bool
) -> tuple[UNet2DConditionModel, list[str]]:
    """Build or load the U-Net.

    Args:
        config: arguments of `UNet2DConditionModel` but for channels and context width.
        weights: folder in the hub's layout to start from instead.
        latent_channels: C of the autoencoder.
        context: width D of the text states.
        with_source: 2C channels in instead of C.

    Returns:
        the U-Net, and what was done to it in words.

    Raises:
        ConfigError: both or neither of config and weights.
        CheckpointError: the loaded U-Net does not fit the autoencoder or the text encoder.
    """
    if (config is None) == (weights is None):
        raise ConfigError("the U-Net needs either a config (unet) or weights (unet_weights), just one of the two")
    channels = latent_channels * (2 if with_source else 1)
    if config is not None:
        fixed = {"in_channels": channels, "out_channels": latent_channels, "cross_attention_dim": context}
        return UNet2DConditionModel(**{**config, **fixed}), ["U-Net: every weight is new"]
    folder = subfolder(str(weights), "unet")
    net = UNet2DConditionModel.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
    report = [f"U-Net: every weight loaded from {folder}"]
    if net.config.out_channels != latent_channels or net.config.cross_attention_dim != context:
        raise CheckpointError(
            f"{folder} holds a U-Net with {net.config.out_channels} latent channels and text width "
            f"{net.config.cross_attention_dim}: expected {latent_channels} and {context}, those of the autoencoder and text encoder"
        )
    if net.config.in_channels == latent_channels and with_source:
        widen(net, latent_channels)
        report.append(f"U-Net: first convolution widened {latent_channels} -> {channels} with zeros")
    elif net.config.in_channels != channels:
        raise CheckpointError(f"{folder} takes {net.config.in_channels} channels: expected {channels}")
    return net, report


def widen(net: UNet2DConditionModel, extra: int) -> None:
    """Give the first convolution `extra` more input channels, initialised to zero (InstructPix2Pix, section 3.2). In place."""
    old = net.conv_in
    new = nn.Conv2d(old.in_channels + extra, old.out_channels, kernel_size=3, padding=1)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, : old.in_channels] = old.weight
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    net.conv_in = new
    net.register_to_config(in_channels=new.in_channels)
