"""A U-Net that starts by copying its source, so that training is spent on what is painted into it.

Most of a target equals its source: all but a mask or a few discs, and all of it where nothing is to be painted. A new U-Net has to
learn that first, through group norms that take away each picture's own mean and contrast. Here the last level is initialised so
that the copy is exact but for a few per cent, and everything else is left as it was drawn.
"""

from __future__ import annotations

import math

import torch
from diffusers import UNet2DConditionModel

from idiff.errors import ConfigError

_CARRIER = 3.0
"""Size of the constant beside a copied value, in standard deviations of the source latent: it keeps the norm's divisor steady."""


@torch.no_grad()
def start_as_copy(net: UNet2DConditionModel, *, channels: int, scale: float, prediction: str) -> bool:
    """Let the first prediction say that the clean latent is the scaled source latent. In place.

    Each source channel s gets one group of the first level's norm: the four features s, -s, k, -k, with a constant k. Their
    mean is 0 and their variance nearly constant, so the norm divides by a known number; and silu(a) - silu(-a) = a, so the
    last convolution reads s back linearly. In between the features travel over the skip connection from the first
    convolution to the last.

    Args:
        net: with `channels` noisy and `channels` source channels in.
        channels: C of the autoencoder.
        scale: target latents are `scale` times source latents; 1 / scale is about their standard deviation.
        prediction: `v_prediction` (at the last timestep of a zero-SNR schedule v = -x_0) or `sample`.

    Returns:
        whether it was done: not for noise prediction, and not where the first level has no group of four features a channel.

    Raises:
        ConfigError: the last level is not built as diffusers' up blocks are.
    """
    groups = net.conv_norm_out.num_groups if net.conv_norm_out is not None else 0
    width = net.conv_in.out_channels
    if prediction not in {"v_prediction", "sample"} or groups < channels or width != 4 * groups:
        return False
    last = net.up_blocks[-1].resnets[-1]
    if last.conv_shortcut is None or last.conv_shortcut.in_channels - width < 0:
        raise ConfigError(
            "the U-Net's last up block has no shortcut from the first convolution: it cannot start as a copy"
        )
    above = last.conv_shortcut.in_channels - width  # features from the level below come first, then the skip's
    sign = -1.0 if prediction == "v_prediction" else 1.0
    divisor = math.sqrt((1 + _CARRIER**2) / 2) / scale
    for channel in range(channels):
        rows = slice(4 * channel, 4 * channel + 4)
        net.conv_in.weight[rows] = 0
        net.conv_in.weight[4 * channel, channels + channel, 1, 1] = 1
        net.conv_in.weight[4 * channel + 1, channels + channel, 1, 1] = -1
        net.conv_in.bias[rows] = torch.tensor([0.0, 0.0, _CARRIER / scale, -_CARRIER / scale])
        last.conv_shortcut.weight[rows] = 0
        last.conv_shortcut.bias[rows] = 0
        last.conv2.weight[rows] = 0
        last.conv2.bias[rows] = 0
        for feature in range(4 * channel, 4 * channel + 4):
            last.conv_shortcut.weight[feature, above + feature] = 1
        net.conv_out.weight[channel] = 0
        net.conv_out.bias[channel] = 0
        net.conv_out.weight[channel, 4 * channel, 1, 1] = sign * scale * divisor
        net.conv_out.weight[channel, 4 * channel + 1, 1, 1] = -sign * scale * divisor
    return True
