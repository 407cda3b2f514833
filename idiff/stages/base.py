"""What every stage shares: optimizer, learning rate, skipped updates, what a checkpoint carries."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from idiff.checks import check_choice, check_number
from idiff.errors import CheckpointError, ConfigError, IdiffError
from idiff.stages.eight_bit import eight_bit
from idiff.stages.muon import Muon, split
from idiff.stages.progress import align_loops
from idiff.types import Batch, BatchBase
from idiff.utils.described import described_tasks
from idiff.utils.seeds import hash64
from idiff.utils.settings import FREE

Optimizer = Literal["adamw", "adamw8bit", "muon"]
Decay = Literal["constant", "cosine"]


class Stage(pl.LightningModule):
    """Base stage: AdamW or Muon, a learning rate that warms up and stays or falls, updates skipped where gradients are not finite.

    A checkpoint carries the trained weights, the run's configuration as plain values (`config`), the data module's tasks (`tasks`,
    see `described_tasks`) and what `describe` says.

    Args:
        lr: peak learning rate of AdamW.
        optimizer: `adamw`; `adamw8bit`, whose state takes a quarter (package bitsandbytes, on CUDA); or `muon`, which gives hidden
            matrices and convolutions to Muon and the rest to AdamW.
        muon_lr: peak learning rate of Muon.
        betas: AdamW's.
        weight_decay: decoupled, of both.
        warmup_steps: optimizer steps over which the rate rises linearly.
        decay: `constant`, or `cosine` down to a hundredth at the last step.
        seed: seed of noise, timesteps and dropout.
        max_skipped: updates in a row that may be skipped before training stops.

    Attributes:
        run_config: the run's configuration. loaded_step: optimizer steps of the checkpoint that was loaded last; 0 before.

    Raises:
        ConfigError: a name that is unknown, or a number out of its range.
    """

    run_config: dict[str, Any] | None = None
    loaded_step = 0
    takes: ClassVar[tuple[type[BatchBase], ...]] = (Batch,)
    """Classes of batches that `loss` takes; where it is given another one, training stops with a sentence."""

    def __init__(
        self,
        *,
        lr: float = 1e-4,
        optimizer: Optimizer = "adamw",
        muon_lr: float = 0.02,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.01,
        warmup_steps: int = 0,
        decay: Decay = "constant",
        seed: int = 0,
        max_skipped: Annotated[int, FREE] = 5,
    ) -> None:
        super().__init__()
        check_choice("decay", decay, Decay)
        check_choice("optimizer", optimizer, Optimizer)
        for name, rate in {"lr": lr, "muon_lr": muon_lr, "weight_decay": weight_decay}.items():
            check_number(name, rate, least=0)
        for beta in betas:
            check_number("betas", beta, least=0, below=1)
        for name, count in {"warmup_steps": warmup_steps, "max_skipped": max_skipped}.items():
            check_number(name, count, least=0, whole=True)
        self.optimizer, self.muon_lr = optimizer, muon_lr
        self.lr, self.betas, self.weight_decay = lr, betas, weight_decay
        self.warmup_steps, self.decay, self.seed, self.max_skipped = warmup_steps, decay, seed, max_skipped
        self.total_steps: float = math.inf
        self.skipped = 0
        self.skipped_in_a_row = 0
        self.strict_loading = False  # frozen parts are not stored; on_load_checkpoint checks every other key

    @property
    def bases(self) -> list[str]:
        """Weights that the stage starts from by itself, and can be scored with as it is; none: it has to be trained first."""
        return []

    @abstractmethod
    def loss(self, batch: Any, *, train: bool) -> Tensor:
        """Loss of a batch, which is of one of the classes in `takes`: a scalar."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """As `validation_step`."""
        return self.validation_step(*args, **kwargs)

    @property
    def split(self) -> str:
        """What is scored, `val` or `test`: begins the names of what a validation step logs."""
        return "test" if self._trainer is not None and self.trainer.testing else "val"

    def rows_of_all(self, batch: BatchBase) -> int:
        """`batch_size` of a mean over ranks, which is logged with `sync_dist`: Lightning rounds the mean of whole numbers down."""
        return len(batch) * (1 if self._trainer is None else self.trainer.world_size)

    def describe(self) -> dict[str, Any]:
        """What a checkpoint carries besides weights and configuration, as plain values."""
        return {}

    def frozen(self) -> tuple[str, ...]:
        """Prefixes of state_dict keys that a checkpoint leaves out."""
        return ()

    def on_train_start(self) -> None:
        """Let the configuration hold: an optimizer that a checkpoint brought has that checkpoint's settings."""
        for optimizer in self.trainer.optimizers:
            for parameter, state in optimizer.state.items():
                # the fused update reads memory as it lies: what a checkpoint brought has to lie as the weights do
                state |= {
                    name: torch.empty_like(parameter).copy_(value)
                    for name, value in state.items()
                    if value.shape == parameter.shape and value.stride() != parameter.stride()
                }
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            scheduler = config.scheduler
            assert isinstance(scheduler, LambdaLR)
            scheduler.base_lrs = [self.muon_lr if group.get("muon") else self.lr for group in optimizer.param_groups]
            for group, peak in zip(optimizer.param_groups, scheduler.base_lrs, strict=True):
                group |= {"initial_lr": peak, "betas": self.betas, "weight_decay": self.weight_decay}
                group["lr"] = peak * self.rate(scheduler.last_epoch)

    def on_train_batch_start(self, batch: BatchBase, batch_idx: int) -> None:
        """Seed what the network itself draws from the step, so that a resumed run draws the same, and logs it where it should."""
        micro = batch_idx % self.trainer.accumulate_grad_batches
        place = micro * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(hash64(self.seed, "step", self.trainer.global_step, place))
        # the loop counts log lines by itself, and after a resume it depends on when the checkpoint was written
        self.trainer.fit_loop.epoch_loop._batches_that_stepped = self.trainer.global_step

    def training_step(self, batch: BatchBase, batch_idx: int) -> Tensor:
        """One micro-batch.

        Raises:
            ConfigError: the data module gives batches that this stage does not take.
        """
        if not isinstance(batch, self.takes):
            raise ConfigError(
                f"data: batches are of type {type(batch).__name__}, {type(self).__name__} takes "
                f"{' or '.join(each.__name__ for each in self.takes)}: choose another data module, or leave out `data.cache`."
            )
        loss = self.loss(batch, train=True)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        self.log("train/lr", self.trainer.optimizers[0].param_groups[-1]["lr"], batch_size=len(batch))
        if batch.bad:
            self.print("\n".join(f"bad sample substituted: {name}" for name in batch.bad))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Drop the update where a gradient is not finite. Gradients are already reduced, so all ranks decide alike.

        Raises:
            IdiffError: more than `max_skipped` updates in a row were dropped.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients or bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            self.skipped_in_a_row = 0
            return
        optimizer.zero_grad(set_to_none=True)
        self.skipped += 1
        self.skipped_in_a_row += 1
        self.log("train/skipped", float(self.skipped))
        if self.skipped_in_a_row > self.max_skipped:
            raise IdiffError(
                f"{self.skipped_in_a_row} updates in a row had gradients that are not finite, at step {self.global_step}: "
                "training stopped before it spoils the weights. Lower model.lr or look at the data."
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimizer over what is trained; the rate is a function of the step alone."""
        # Lightning does not clip the gradients of a fused optimizer where they are scaled
        scaled = self._trainer is not None and str(self._trainer.precision) == "16-mixed"
        fused = not (scaled and self.trainer.gradient_clip_val)
        settings: dict[str, Any] = {
            "lr": self.lr, "betas": self.betas, "weight_decay": self.weight_decay, "fused": fused,
        }  # fmt: skip
        hidden, rest = split(self)
        optimizer: torch.optim.Optimizer
        if self.optimizer == "adamw8bit":
            del settings["fused"]
            optimizer = eight_bit([p for p in self.parameters() if p.requires_grad], **settings)
        elif self.optimizer == "muon":
            optimizer = Muon([{"params": hidden, "lr": self.muon_lr, "muon": True}, {"params": rest}], **settings)
        else:
            optimizer = torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], **settings)
        if not scaled:
            optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # Lightning asks, in bfloat16 too
        if self.decay == "cosine":
            self.total_steps = self.trainer.estimated_stepping_batches
            if not math.isfinite(self.total_steps):
                raise ConfigError("decay 'cosine' needs an end: set trainer.max_steps or trainer.max_epochs")
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": LambdaLR(optimizer, self.rate), "interval": "step"},
        }

    def rate(self, step: int) -> float:
        """Share of the peak learning rate at an optimizer step, in (0, 1]."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.decay == "constant":
            return 1.0
        share = min(1.0, (step - self.warmup_steps) / max(1.0, self.total_steps - self.warmup_steps))
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share))

    @torch.no_grad()
    def take_average(self) -> None:
        """Put the weight average in place of the raw weights, where the run keeps one: for what is written when it ends."""
        callbacks: list[Any] = getattr(self.trainer, "callbacks", [])
        average: dict[str, Tensor] = next(
            (found for each in callbacks if (found := getattr(each, "average", None))), {}
        )
        for name, weight in self.named_parameters():
            if name in average:
                weight.copy_(average[name])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave frozen parts out; add configuration and description."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: value for key, value in state.items() if not key.startswith(self.frozen())}
        checkpoint["config"] = self.run_config or {}
        if self.device_mesh is not None:
            checkpoint["sharded"] = True
        checkpoint["tasks"] = described_tasks(getattr(self._trainer, "datamodule", None))
        checkpoint.update(self.describe())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check every key before anything is loaded.

        Raises:
            CheckpointError: the checkpoint is of another model.
        """
        self.loaded_step = int(checkpoint.get("global_step", 0))
        wanted = {key: value.shape for key, value in self.state_dict().items() if not key.startswith(self.frozen())}
        sharded = "state_dict" not in checkpoint  # such a strategy has loaded the weights already
        given = wanted if sharded else {key: value.shape for key, value in checkpoint["state_dict"].items()}
        wrong = sorted(wanted.keys() ^ given.keys()) or sorted(key for key in wanted if wanted[key] != given[key])
        if wrong:
            raise CheckpointError(
                f"the checkpoint is of another model: {len(wrong)} weights are missing, left over or of another shape "
                f"({', '.join(wrong[:3])}). Use the configuration it was trained with."
            )
        if self.trainer.state.fn == TrainerFn.FITTING and "loops" in checkpoint:
            epoch, batches = self.trainer.datamodule.progress_at(checkpoint["global_step"])  # type: ignore[attr-defined]
            accumulation = self.trainer.accumulate_grad_batches
            align_loops(checkpoint, epoch=epoch, batches=batches, accumulation=accumulation)
