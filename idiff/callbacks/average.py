"""Exponential moving average of the trained weights."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from idiff.checks import check_number
from idiff.utils.sharding import as_sharded, unsharded


class WeightAverage(pl.Callback):
    """Average what is trained, and nothing else, in float32; validate with the average.

    A checkpoint holds the average under `state_dict`, so that a plain load gets it, and the raw weights under `raw`, from which
    training goes on. The decay of update n is min(decay, (1 + n) / (10 + n)), so that early averages are not held back by the
    weights training began with.

    Args:
        decay: of the average, in [0, 1); 0 averages nothing.
    """

    def __init__(self, decay: float = 0.9999) -> None:
        check_number("ema.decay", decay, least=0, below=1)
        self.decay = decay
        self.updates = 0
        self.average: dict[str, Tensor] = {}
        self.weights: list[Tensor] = []  # what is averaged, in the order of the average, while it is trained
        self.raw: dict[str, Tensor] | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the weights as they are, unless a checkpoint brought an average."""
        if not self.average:
            self.average = {name: p.detach().float().clone() for name, p in _trained(pl_module).items()}
        trained = _trained(pl_module)
        self.average = {name: as_sharded(value, trained[name]) for name, value in self.average.items()}
        self.weights = [trained[name] for name in self.average]

    @torch.no_grad()
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Move the average after each optimizer step."""
        if trainer.global_step <= self.updates:
            return
        self.updates = trainer.global_step
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        weights = [p.detach().float() for p in self.weights]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - decay)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in place of the raw weights."""
        if self.average and self.raw is None and trainer.state.fn == TrainerFn.FITTING:
            self.raw = {name: p.detach().clone() for name, p in _trained(pl_module).items()}
            _assign(pl_module, self.average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the raw weights back."""
        if self.raw is not None:
            _assign(pl_module, self.raw)
            self.raw = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Put the raw weights back, so that whatever saves next saves them as raw."""
        self.on_validation_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the average as the weights and the raw ones beside them."""
        if not self.average:
            return
        trained = _trained(pl_module)
        checkpoint["raw"] = {name: unsharded(p.detach()) for name, p in (self.raw or trained).items()}
        checkpoint["average_updates"] = self.updates
        state = dict(checkpoint["state_dict"])
        average = {name: unsharded(value).to(trained[name].dtype) for name, value in self.average.items()}
        state.update(
            {name: value for name, value in average.items() if name in state}
        )  # where weights are sharded, rank 0 has them
        checkpoint["state_dict"] = state

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on training from the raw weights."""
        if trainer.state.fn != TrainerFn.FITTING or "raw" not in checkpoint:
            return
        # a strategy that shards has taken the weights out of the checkpoint and loaded them already
        weights = checkpoint.get("state_dict", _trained(pl_module))
        self.average = {name: weights[name].detach().float().clone() for name in checkpoint["raw"]}
        self.updates = int(checkpoint["average_updates"])
        _assign(pl_module, checkpoint["raw"])


def _trained(module: pl.LightningModule) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


@torch.no_grad()
def _assign(module: pl.LightningModule, values: dict[str, Tensor]) -> None:
    for name, p in _trained(module).items():
        p.copy_(as_sharded(values[name], p))
