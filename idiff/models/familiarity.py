"""Whether a picture is like those a model was trained on.

The latent of a picture is described by few numbers (each channel's mean and spread, how much neighbours differ); their distance to
the training pictures' is measured in the training pictures' own spread (Mahalanobis; Lee et al., arXiv 1807.03888, section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from idiff.errors import CheckpointError

_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Familiarity:
    """Distances that training pictures have, and how to measure one.

    Attributes:
        mean: (F,) of the features. precision: (F, F), inverse covariance.
        usual: distance that half of the training pictures stay below. far: the one that 99 % stay below.
    """

    mean: Tensor
    precision: Tensor
    usual: float
    far: float

    @classmethod
    def fit(cls, latents: Tensor) -> Familiarity:
        """Learn from training pictures.

        Args:
            latents: (N, C, h, w), modes of the source pictures, unscaled; N several times the 3 C features.
        """
        seen = features(latents).double()
        mean = seen.mean(dim=0)
        spread = torch.cov(seen.T)
        ridge = _RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=torch.float64)
        made = cls(mean, torch.linalg.inv(spread + ridge), 0.0, 0.0)
        distances = made.distance(latents)
        usual, far = torch.quantile(distances, torch.tensor([0.5, 0.99])).tolist()
        return cls(mean, made.precision, usual, far)

    def distance(self, latents: Tensor) -> Tensor:
        """Mahalanobis distance (N,) of latents (N, C, h, w)."""
        off = features(latents).double() - self.mean
        return (off @ self.precision * off).sum(dim=1).clamp_min(0).sqrt().float()

    def __call__(self, latents: Tensor) -> Tensor:
        """How familiar pictures are, (N,) in [0, 1]: 1 up to the usual distance, 0.5 at the far one, then towards 0."""
        beyond = ((self.distance(latents) - self.usual) / max(self.far - self.usual, 1e-6)).clamp_min(0)
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
    def of(cls, plain: dict[str, Any]) -> Familiarity:
        """Read what `describe` wrote.

        Raises:
            CheckpointError: it is not that.
        """
        try:
            mean = torch.tensor(plain["mean"], dtype=torch.float64)
            precision = torch.tensor(plain["precision"], dtype=torch.float64)
            if precision.shape != (len(mean), len(mean)):
                raise ValueError(f"precision has the shape {tuple(precision.shape)}")
            return cls(mean, precision, float(plain["usual"]), float(plain["far"]))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the model's `familiarity` cannot be read ({error}): export the model again"
            ) from None


def features(latents: Tensor) -> Tensor:
    """What describes a latent as a whole, (N, 3 C): mean, spread, and mean difference of neighbours of each channel."""
    across = latents.diff(dim=-1).abs().mean(dim=(2, 3))
    down = latents.diff(dim=-2).abs().mean(dim=(2, 3))
    return torch.cat([latents.mean(dim=(2, 3)), latents.std(dim=(2, 3)), 0.5 * (across + down)], dim=1)
