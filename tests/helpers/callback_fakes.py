"""A module that trains three numbers beside a frozen layer, and a trainer for it."""

import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from idiff.callbacks import AtomicCheckpointIO


class Numbers(pl.LightningModule):
    """Pulls `weight` towards the data; `seen` is what validation saw, `steps` the weight after each optimizer step."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.register_buffer("count", torch.tensor(7))
        self.seen, self.steps = [], []

    def training_step(self, batch, batch_idx):
        return ((self.weight - batch) ** 2).sum()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches == 0:
            self.steps.append(self.weight.detach().clone())

    def validation_step(self, batch, batch_idx):
        self.seen.append(self.weight.detach().clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.5)


def loader(rows=12):
    return DataLoader(torch.arange(rows * 3, dtype=torch.float32).reshape(rows, 1, 3).sin(), batch_size=None)


def fit(folder, *callbacks, steps=6, module=None, checkpoint=None, **options):
    """Train on 12 rows, one a batch, validating every 3 batches; returns module and trainer."""
    module = module or Numbers()
    settings = {
        "max_steps": steps, "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "val_check_interval": 3,
        "enable_model_summary": False, "num_sanity_val_steps": 0, "default_root_dir": folder, "limit_val_batches": 1,
        "enable_checkpointing": False, "plugins": [AtomicCheckpointIO()],
    }  # fmt: skip
    trainer = pl.Trainer(callbacks=list(callbacks), **(settings | options))
    trainer.fit(module, loader(), loader(1), ckpt_path=checkpoint, weights_only=True)
    return module, trainer
