"""The settings of a run, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback


class SaveConfig(SaveConfigCallback):
    """`config.yaml` in the run folder, whatever the logger."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it over the one that is there."""
        path = Path(trainer.default_root_dir) / self.config_filename
        if not getattr(trainer, "fast_dev_run", False):
            self.parser.save(self.config, str(path), skip_none=False, overwrite=True, multifile=self.multifile)
