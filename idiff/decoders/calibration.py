"""Scores that mean what they say: a temperature and a bias, fitted on images that were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from idiff.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Calibration:
    """`score = sigmoid(logit / temperature + bias)` (Guo et al., arXiv 1706.04599, section 4; with a bias: Platt scaling).

    Attributes:
        temperature: larger than 0; 1 changes nothing.
        bias: added to the scaled logit.
    """

    temperature: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"the temperature of a calibration is {self.temperature}: expected more than 0.")

    def __call__(self, logits: Tensor) -> Tensor:
        """Scores in [0, 1] of logits, any shape."""
        return torch.sigmoid(logits / self.temperature + self.bias)


def paint_kind(transparency: float) -> str:
    """Which calibration an image takes: `opaque` paint (discs) is read more surely than `blended` paint (masks)."""
    return "opaque" if transparency == 0 else "blended"


def chosen(calibrations: Mapping[str, Calibration], transparency: float) -> Calibration:
    """The calibration for a transparency; one that changes nothing where none was fitted."""
    return calibrations.get(paint_kind(transparency), Calibration())


def fit_calibration(logits: Tensor, truth: Tensor, *, bias: bool = True) -> Calibration:
    """Choose temperature and bias by the least cross-entropy.

    Args:
        logits: float (N,) of held-out pixels.
        truth: float (N,) in [0, 1].
        bias: fit one; otherwise it stays 0, and what is larger than one half stays so.

    Returns:
        the calibration; one that changes nothing where there are no pixels, or all of them have one answer.
    """
    if not logits.numel() or bool((truth == truth.flatten()[0]).all()):
        return Calibration()
    with torch.inference_mode(False), torch.enable_grad():  # a validation may run without gradients
        given, wanted = (one.detach().clone().double().flatten() for one in (logits, truth))
        values = given.new_zeros(2).requires_grad_()  # log of 1 / T, and b
        move = given.new_tensor([1.0, 1.0 if bias else 0.0])
        optimizer = torch.optim.LBFGS([values], lr=0.5, max_iter=60, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            scale, shift = (values * move).unbind()
            error = F.binary_cross_entropy_with_logits(given * scale.exp() + shift, wanted)
            error.backward()  # type: ignore[no-untyped-call]
            return error

        optimizer.step(loss)  # type: ignore[no-untyped-call]
    scale, shift = (values * move).detach().tolist()
    return Calibration(temperature=float(torch.tensor(-scale).exp()), bias=float(shift))
