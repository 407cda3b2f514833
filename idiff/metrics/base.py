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
from idiff.types import Prediction, Truth

T = TypeVar("T")


class ItemMetric(Metric):
    """Base of every metric: `update` takes one item, `compute` of nothing is nan without a warning."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    @abstractmethod
    def update(self, prediction: Prediction, truth: Truth) -> None:
        """Count one item.

        Raises:
            ConfigError: a field that the metric needs is None, or prediction and truth differ in shape.
        """

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


def needed(value: T | None, field: str, *, metric: Metric, key: str) -> T:
    """Return a field that a metric cannot do without.

    Args:
        value: the field's value.
        field: its name, such as `prediction.mask`.
        metric: who needs it.
        key: the item's key.

    Raises:
        ConfigError: the value is None.
    """
    if value is None:
        raise ConfigError(
            f"{type(metric).__name__} got no {field} for '{key}'. "
            "Let the task's combine() or truth() fill it in, or leave this metric out of the task's metrics()."
        )
    return value


def same_shape(predicted: Tensor, true: Tensor, *, what: str) -> None:
    """Refuse to compare tensors of two shapes.

    Raises:
        ConfigError: the shapes differ.
    """
    if predicted.shape != true.shape:
        raise ConfigError(
            f"cannot score {what}: the prediction has shape {tuple(predicted.shape)}, the truth {tuple(true.shape)}. "
            "combine() and truth() must both answer in the pixels of the original picture."
        )
