"""What all metrics share: one item an update, quiet when nothing was scored, states that belong to one metric alone.

`MetricCollection` lets two metrics share one state when their states have the same names and, after the first update,
the same values (its compute groups). So every state name here begins with the metric's own name.
"""

from __future__ import annotations

import functools
import warnings
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torchmetrics import Metric

from idiff.errors import ConfigError
from idiff.predictions import expect
from idiff.types import Prediction, Truth

P = TypeVar("P", bound=Prediction)
T = TypeVar("T", bound=Truth)


class ItemMetric(Metric):
    """Base of every metric: `update` takes one item, `compute` of nothing is nan without a warning."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    @abstractmethod
    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one item.

        Raises:
            ConfigError: prediction or truth are not of the kind that the metric reads, or differ in shape.
        """

    def reason(self) -> str:
        """Why `compute` of what was scored is nan, in words; empty where it is not, or nothing was scored."""
        return ""

    def typed(self, prediction: Prediction, truth: Truth, kinds: tuple[type[P], type[T]]) -> tuple[P, T]:
        """Prediction and truth as the kinds that this metric reads.

        Raises:
            ConfigError: they are of another kind.
        """
        by = type(self).__name__
        return (
            expect(prediction, kinds[0], by=by, key=truth.key),
            expect(truth, kinds[1], by=by, key=truth.key),
        )

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = super()._wrap_compute(compute)

        @functools.wraps(compute)
        def quiet(*args: Any, **kwargs: Any) -> Any:
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", message=".*was called before the ``update`` method", category=UserWarning
                )
                return wrapped(*args, **kwargs)

        return quiet


class RatioMetric(ItemMetric):
    """A sum over a count, added up over items and ranks; nan while the count is 0.

    Args:
        name: begins the names of the two states; letters, digits and `_`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._sum, self._count = f"{name}_sum", f"{name}_count"
        self.add_state(self._sum, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state(self._count, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def add(self, amount: Tensor | float, count: Tensor | int = 1) -> None:
        """Add to the sum and to the count. Both are numbers or 0-d tensors."""
        for name, more in ((self._sum, amount), (self._count, count)):
            state: Tensor = getattr(self, name)
            setattr(self, name, state + torch.as_tensor(more, device=state.device).to(state.dtype))

    def compute(self) -> Tensor:
        """The ratio, float32 ()."""
        return ratio(getattr(self, self._sum), getattr(self, self._count))


def ratio(amount: Tensor, count: Tensor) -> Tensor:
    """`amount / count` as float32; nan where the count is 0. Shapes as given."""
    return torch.where(count > 0, amount.double() / count.clamp(min=1), torch.nan).float()


def same_shape(predicted: Tensor, true: Tensor, *, what: str) -> None:
    """Refuse to compare tensors of two shapes.

    Raises:
        ConfigError: the shapes differ.
    """
    if predicted.shape != true.shape:
        raise ConfigError(
            f"cannot score {what}: the prediction has shape {tuple(predicted.shape)}, the truth {tuple(true.shape)}. "
            "combine() and truth() must both answer in the pixels of the original image."
        )
