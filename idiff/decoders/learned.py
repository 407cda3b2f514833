"""Read painted pixels with the learned U-Net, calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idiff.decoders.calibration import chosen
from idiff.decoders.unet import planes
from idiff.decoders.weights import load
from idiff.errors import ConfigError


class UNetDecoder:
    """The decoder with weights: `ReadoutNet`, one row a colour, its scores calibrated.

    The weights move to the device of the pictures that are read.

    Args:
        weights: a folder that `idiff.decoders.weights.save` wrote, one with such a folder `decoder/` inside (an exported model),
            or the name of an embedded decoder.
        flip: read the mirrored pictures, too, and take the mean of both readings. It costs as much again. The mirror is made at
            the decoder's input: the picture is painted once. (The colour decoder reads a mirror just alike: it has no such option.)
        max_rows: colours read at a time, to bound memory.

    Raises:
        CheckpointError: the weights cannot be read.
        ConfigError: `max_rows` is less than 1.
    """

    def __init__(self, weights: str | Path = "tiny", flip: bool = False, max_rows: int = 64) -> None:
        if max_rows < 1:
            raise ConfigError(f"{max_rows=} must be at least 1.")
        self.weights, self.flip, self.max_rows = str(weights), flip, max_rows
        self.learned = load(weights)

    def describe(self) -> dict[str, Any]:
        """Plain values that name this decoder in a metric card."""
        return {"name": "unet", "weights": self.weights, "sha256": self.learned.sha256, "flip": self.flip}

    @torch.no_grad()
    def scores(self, edited: Tensor, rendered: Tensor, colors: Tensor, transparency: float) -> Tensor:
        """Score pixels; shapes and ranges as `idiff.decoders.base.Decoder.scores` states.

        A score is the probability that the pixel belongs to the answer, as far as the calibration holds. A picture with pixels that
        are not finite has no answer.
        """
        usable = edited.isfinite().all(dim=(1, 2, 3)) & rendered.isfinite().all(dim=(1, 2, 3))
        edited, rendered = edited.float().nan_to_num(0.0), rendered.float().nan_to_num(0.0)
        scores = self._read(edited, rendered, colors, transparency)
        if self.flip:
            scores = (scores + self._read(edited.flip(3), rendered.flip(3), colors, transparency).flip(3)) / 2
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
