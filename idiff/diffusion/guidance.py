"""Classifier-free guidance with two conditions, an image I and a text T, as a sum over network evaluations.

The rules hold alike for predictions of eps, v and x_0: at a given x_t these are affine in each other, and the weights
sum to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from torch import Tensor

from idiff.errors import ConfigError, unknown
from idiff.sampling import RuleName

GUIDANCE_RULES: tuple[str, ...] = get_args(RuleName)


@dataclass(frozen=True, slots=True)
class Branch:
    """One network evaluation of a guided step.

    Attributes:
        use_image: condition on the source image; else on the dropped image.
        use_text: condition on the instruction; else on the empty text.
        weight: factor in the combination.
    """

    use_image: bool
    use_text: bool
    weight: float


def branches(rule: str, *, text: float, image: float) -> list[Branch]:
    """The evaluations that a guidance rule needs. Those of weight 0 are left out.

    `instructdiffusion` (its dropout never removes both conditions, so no branch lacks both; off at (0.5, 0.5)):
        0.5 (e(I,0) + e(0,T)) + s_T (e(I,T) - e(I,0)) + s_I (e(I,T) - e(0,T))
    `instructpix2pix` (Brooks et al., arXiv 2211.09800, equation 3; off at (1, 1)):
        e(0,0) + s_T (e(I,T) - e(I,0)) + s_I (e(I,0) - e(0,0))

    Args:
        rule: one of `GUIDANCE_RULES`.
        text: s_T.
        image: s_I.

    Returns:
        1 to 3 branches, whose weights sum to 1. Guidance off is the one branch (image, text) of weight 1.

    Raises:
        ConfigError: an unknown rule, or a scale that is not finite.

    >>> len(branches("instructdiffusion", text=0.5, image=0.5)), len(branches("instructpix2pix", text=7.5, image=1.5))
    (1, 3)
    """
    if not (math.isfinite(text) and math.isfinite(image)):
        raise ConfigError(f"guidance scales text={text}, image={image}: expected finite numbers.")
    if rule == "instructdiffusion":
        terms = [Branch(True, True, text + image), Branch(True, False, 0.5 - text), Branch(False, True, 0.5 - image)]
    elif rule == "instructpix2pix":
        terms = [Branch(True, True, text), Branch(True, False, image - text), Branch(False, False, 1.0 - image)]
    else:
        raise unknown("guidance rule", rule, GUIDANCE_RULES)
    return [branch for branch in terms if branch.weight != 0]


def combine(predictions: Tensor, weights: Sequence[float | Tensor]) -> Tensor:
    """Weighted sum over the branches.

    Args:
        predictions: (N*B, ...): the batch of the first branch, then of the second, and so on.
        weights: of the N branches: numbers, or one number per example, (B, 1, ...).

    Returns:
        (B, ...).
    """
    first, *rest = (weight * part for weight, part in zip(weights, predictions.chunk(len(weights)), strict=True))
    for part in rest:
        first = first + part
    return first
