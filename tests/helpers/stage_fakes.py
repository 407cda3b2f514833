"""Batches of drawn rows by position, and a trainer for stages."""

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from idiff.callbacks import AtomicCheckpointIO, KeepLast, WeightAverage
from idiff.types import Batch


def rows(positions, side=32):
    """Images of two smooth colors; the target has one corner painted red."""
    sources = []
    for position in positions:
        rng = torch.Generator().manual_seed(position)
        ends = torch.rand(2, 3, 1, 1, generator=rng) * 2 - 1
        sources.append(torch.lerp(ends[0], ends[1], torch.linspace(0, 1, side)[None, None].expand(1, side, side)))
    source = torch.stack(sources)
    target = source.clone()
    target[:, :, : side // 2, : side // 2] = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None]
    keys = [f"{position:04d}" for position in positions]
    return Batch(
        keys=keys, instruction=[f"paint thing {key}" for key in keys], source=source, target=target,
        query=[{"group": key} for key in keys], annotation=[{} for _ in keys], position=torch.tensor(list(positions)),
        task=["toy"] * len(keys),
    )  # fmt: skip


class Rows(pl.LightningDataModule):
    """`batch` rows a step from the trainer's step on, for ever."""

    def __init__(self, batch=2):
        super().__init__()
        self.batch = batch

    def progress_at(self, global_step):
        return 0, global_step * self.trainer.accumulate_grad_batches

    def train_dataloader(self):
        first = self.trainer.global_step * self.trainer.accumulate_grad_batches
        batches = [rows(range(i * self.batch, (i + 1) * self.batch)) for i in range(40)]
        return DataLoader([*batches[first:], *batches[:first]], batch_size=None)

    def val_dataloader(self):
        return DataLoader([rows([1000, 1001])], batch_size=None)


def fit(stage, folder, *callbacks, steps=4, checkpoint=None, **options):
    """Train; the stage's own averaging and saving callbacks come along."""
    settings = {
        "max_steps": steps, "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "limit_val_batches": 0,
        "enable_model_summary": False, "num_sanity_val_steps": 0, "default_root_dir": folder, "plugins": [AtomicCheckpointIO()],
        "enable_checkpointing": False, "use_distributed_sampler": False,
    }  # fmt: skip
    trainer = pl.Trainer(callbacks=[WeightAverage(0.5), KeepLast(2), *callbacks], **(settings | options))
    trainer.fit(stage, datamodule=Rows(), ckpt_path=checkpoint, weights_only=True)
    return trainer
