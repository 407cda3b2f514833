"""Muon: steepest descent for matrices, beside AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ROUNDS = 5


class Muon(torch.optim.AdamW):
    """Muon for hidden matrices and convolutions, AdamW for everything else, in one optimizer.

    The momentum of a matrix is replaced by the nearest orthogonal one (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon;
    Newton-Schulz iteration with its coefficients), so that every direction is learnt at the same speed. A convolution
    (O, I, h, w) is a matrix (O, I h w). `torch.optim.Muon` takes matrices alone.

    Args:
        groups: parameter groups; those with `"muon": True` hold tensors of two dimensions or more, and their `lr` is the size of a
            step in units of the matrix norm (0.02 is usual).
        momentum: of Muon (Nesterov's).
        **adamw: arguments of `torch.optim.AdamW`; `weight_decay` holds for both.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, momentum: float = 0.95, **adamw: Any) -> None:
        super().__init__(list(groups), **adamw)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. Gradients of Muon's parameters are used up."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("muon"):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._update(parameter, group)
                        parameter.grad = None  # AdamW's step passes over it
        super().step()
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state |= {
                "momentum_buffer": torch.zeros_like(gradient),
                "step": torch.zeros(()),
            }  # AdamW asks loaded states for it
        average = state["momentum_buffer"].lerp_(gradient, 1 - self.momentum)
        update = orthogonal(gradient.lerp(average, self.momentum).flatten(1))
        rows, columns = update.shape
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update.view(parameter.shape), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the orthogonal matrix nearest to one (M, N): its singular values become 0.7 to 1.2."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x: Tensor = matrix if wide else matrix.T
    x = x / (torch.linalg.vector_norm(x) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x if wide else x.T


def split(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """A module's trained parameters: those for Muon, and those for AdamW.

    Muon takes hidden weights of two dimensions or more. The first and the last layer (`conv_in`, `conv_out`), embeddings,
    biases and norms are AdamW's.
    """
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            outer = any(word in name for word in ("conv_in", "conv_out", "embed"))
            (rest if parameter.ndim < 2 or outer else hidden).append(parameter)
    return hidden, rest
