"""Read painted pixels with the learned U-Net, calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idiff.decoders.calibration import chosen
from idiff.decoders.color import color_scores
from idiff.decoders.decoder_unet import planes
from idiff.decoders.weights import load
from idiff.errors import ConfigError

_SMOOTH = 3
"""Side of the box the color decoder averages over where paint is see-through, as the tasks of masks have it."""


class UNetDecoder:
    """The decoder with weights: `ReadoutNet`, one row a color, its scores calibrated.

    The weights move to the device of the images that are read.

    Args:
        weights: a folder that `idiff.decoders.weights.save` wrote, one with such a folder `decoder/` inside (an exported model),
            or the name of a pretrained decoder.
        flip: read the mirrored images, too, and take the mean of both readings. It costs as much again. The mirror is made at
            the decoder's input: the image is painted once. (The color decoder reads a mirror just alike: it has no such option.)
        color_share: share in [0, 1] of the color decoder's score in the mean of both; 0 is the net alone. What both are sure of
            counts: paint that the net alone sees in a faint tint, or colors alone in a speck, is doubted.
        max_rows: colors read at a time, to bound memory.

    Raises:
        CheckpointError: the weights cannot be read.
        ConfigError: `max_rows` is less than 1, or `color_share` is not a share.
    """

    def __init__(
        self, weights: str | Path = "tiny", flip: bool = False, color_share: float = 0.0, max_rows: int = 64
    ) -> None:
        if max_rows < 1 or not 0 <= color_share <= 1:
            raise ConfigError(f"{max_rows=} must be at least 1, {color_share=} a share in [0, 1].")
        self.weights, self.flip, self.max_rows = str(weights), flip, max_rows
        self.color_share = color_share
        self.learned = load(weights)

    def describe(self) -> dict[str, Any]:
        """Plain values that name this decoder in a metric card."""
        return {
            "name": "unet",
            "weights": self.weights,
            "sha256": self.learned.sha256,
            "flip": self.flip,
            "color_share": self.color_share,
        }

    @torch.no_grad()
    def scores(self, edited: Tensor, rendered: Tensor, colors: Tensor, transparency: float) -> Tensor:
        """Score pixels; shapes and ranges as `idiff.decoders.base.Decoder.scores` states.

        A score is the probability that the pixel belongs to the answer, as far as the calibration holds. An image with pixels that
        are not finite has no answer.
        """
        usable = edited.isfinite().all(dim=(1, 2, 3)) & rendered.isfinite().all(dim=(1, 2, 3))
        edited, rendered = edited.float().nan_to_num(0.0), rendered.float().nan_to_num(0.0)
        scores = self._read(edited, rendered, colors, transparency)
        if self.flip:
            scores = (scores + self._read(edited.flip(3), rendered.flip(3), colors, transparency).flip(3)) / 2
        if self.color_share:
            seen = color_scores(edited, rendered, colors, transparency, smooth=_SMOOTH if transparency else 1)
            scores = (1 - self.color_share) * scores + self.color_share * seen
        return scores * usable[:, None, None, None]

    def _read(self, edited: Tensor, rendered: Tensor, colors: Tensor, transparency: float) -> Tensor:
        net = self.learned.net.to(edited.device)
        shown = torch.full((len(edited),), transparency, device=edited.device)
        calibration = chosen(self.learned.calibrations, transparency)
        scores = edited.new_zeros((*colors.shape[:2], *edited.shape[2:]))
        step = max(1, self.max_rows // max(1, colors.shape[1]))
        for start in range(0, len(edited), step):
            rows = slice(start, start + step)
            inputs, asked = planes(edited[rows], rendered[rows], colors[rows].to(edited), shown[rows])
            if len(inputs):
                scores[rows][asked] = calibration(net(inputs))
        return scores
