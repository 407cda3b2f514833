"""Whether an image is like those a model was trained on.

An image is described by few numbers: how far the autoencoder's rendering of it is off, and how much neighbouring pixels differ at
three sizes, each as quantiles over the image. The distance of these numbers from those of training images is measured in the
training images' own spread (Mahalanobis; Lee et al., arXiv 1807.03888, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from idiff.errors import CheckpointError
from idiff.utils.foreign import decoding

DAMAGED = "damaged"
"""Key of what `describe` wrote of damaged training images, by the restoration that mends them."""
WIDE = 4.0
"""Times the far distance at which a damaged image scores 0.5, where a model has no distances of damaged ones."""

_RIDGE = 1e-3
_CELL = 4
_SIZES = 3
_LEAST_ERROR, _LEAST_STEP = 1e-6, 1e-3
_ERRORS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
_STEPS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)


@dataclass(frozen=True, slots=True)
class OODScore:
    """Distances that training images have, and how to measure one.

    Attributes:
        mean: (F,) of the features. precision: (F, F), inverse covariance.
        usual: distance that half of the training images stay below. far: the one that 99 % stay below.
    """

    mean: Tensor
    precision: Tensor
    usual: float
    far: float

    @classmethod
    def fit(cls, pictures: Tensor, rendered: Tensor) -> OODScore:
        """Learn from training images.

        Args:
            pictures: (N, 3, H, W) in [-1, 1]; N several times the 24 features.
            rendered: the same as the autoencoder renders them.
        """
        seen = features(pictures, rendered)
        mean = seen.mean(dim=0)
        spread = torch.cov(seen.T)
        ridge = _RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=torch.float64)
        made = cls(mean, torch.linalg.inv(spread + ridge), 0.0, 0.0)
        distances = made.distance(pictures, rendered)
        usual, far = torch.quantile(distances, torch.tensor([0.5, 0.99])).tolist()
        return cls(mean, made.precision, usual, far)

    def distance(self, pictures: Tensor, rendered: Tensor) -> Tensor:
        """Mahalanobis distance (N,) of images (N, 3, H, W)."""
        off = features(pictures, rendered) - self.mean
        return (off @ self.precision * off).sum(dim=1).clamp_min(0).sqrt().float()

    def __call__(self, pictures: Tensor, rendered: Tensor) -> Tensor:
        """How familiar images are, (N,) in [0, 1]: 1 up to the usual distance, 0.5 at the far one, then towards 0."""
        beyond = ((self.distance(pictures, rendered) - self.usual) / max(self.far - self.usual, 1e-6)).clamp_min(0)
        return 0.5 ** (beyond**2)

    def describe(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "mean": [round(value, 6) for value in self.mean.tolist()],
            "precision": [[round(value, 4) for value in row] for row in self.precision.tolist()],
            "usual": round(self.usual, 4),
            "far": round(self.far, 4),
        }

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> OODScore:
        """Read what `describe` wrote.

        Raises:
            CheckpointError: it is not that.
        """
        again = "export the model again"
        with decoding(lambda reason: CheckpointError(f"the model's `ood_score` cannot be read ({reason}): {again}")):
            mean = torch.tensor(plain["mean"], dtype=torch.float64)
            precision = torch.tensor(plain["precision"], dtype=torch.float64)
            if precision.shape != (len(mean), len(mean)):
                raise ValueError(f"precision has the shape {tuple(precision.shape)}")
            return cls(mean, precision, float(plain["usual"]), float(plain["far"]))

    @classmethod
    def damaged(cls, plain: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, OODScore]:
        """How to measure damaged images, by the restoration that mends them.

        A model without distances of damaged images measures them by those of the others, more widely: damage is unlike them.

        Args:
            plain: what `describe` wrote of undamaged images, with those of damaged ones by kind under `DAMAGED`.
            kinds: of restoration.

        Raises:
            CheckpointError: it is not that.
        """
        usual = cls.of(plain)
        wide = replace(usual, usual=usual.far, far=WIDE * usual.far)
        known = plain.get(DAMAGED) or {}
        return {kind: cls.of(known[kind]) if kind in known else wide for kind in kinds}


def features(pictures: Tensor, rendered: Tensor) -> Tensor:
    """What describes images (N, 3, H, W) as wholes: float64 (N, 24), quantiles of logarithms."""
    error = F.avg_pool2d((rendered - pictures).square().mean(dim=1, keepdim=True), _CELL).flatten(1)
    found = [_quantiles(error.clamp_min(_LEAST_ERROR).log(), _ERRORS)]
    small = pictures
    for _ in range(_SIZES):
        steps = [small.diff(dim=axis).abs().amax(dim=1).flatten(1) for axis in (-1, -2)]
        found.append(_quantiles(torch.cat(steps, dim=1).clamp_min(_LEAST_STEP).log(), _STEPS))
        small = F.avg_pool2d(small, 2)
    return torch.cat(found, dim=1).double()


def _quantiles(values: Tensor, shares: tuple[float, ...]) -> Tensor:
    return torch.quantile(values, torch.tensor(shares, device=values.device), dim=1).T
