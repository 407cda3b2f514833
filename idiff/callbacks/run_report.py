"""`report.html` and what it is made from: written at every validation, and never a reason for a training to fail."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn

from idiff.callbacks.board import draw_parameters, draw_settings
from idiff.callbacks.ending import early_end
from idiff.callbacks.pace import Pace, total_steps
from idiff.reporting.results import Figures, read_figures, write_figures
from idiff.reporting.run import INFO, flat, read_info
from idiff.utils.files import write_atomic

log = logging.getLogger(__name__)

PACKAGES = ("torch", "lightning", "diffusers", "transformers", "numpy")
TRAINER = ("max_steps", "max_epochs", "accumulate_grad_batches", "precision", "gradient_clip_val")
"""Settings of the trainer that are shown among the hyperparameters."""


class RunReport(pl.Callback):
    """Keep `run.json` (command, environment, data, progress), `figures.csv` (losses) and `report.html` in the run folder.

    Args:
        write: false: none of them.

    Attributes:
        command: the words of the command line.
    """

    def __init__(self, write: bool = True) -> None:
        self.write = write
        self.command = ""
        self.pace = Pace()
        self._figures: Figures = {}
        self._info: dict[str, Any] = {}
        self._seen = -1
        self._drawn = self._said = False

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A new run begins."""
        self._begin(trainer, pl_module, step=0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what is trained, where, and by which command."""
        self._begin(trainer, pl_module, step=trainer.global_step)
        self.pace.begin(trainer.global_step)
        self._write(trainer, "training", page=False)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Note what is logged of training, as often as it is logged."""
        step, last = trainer.global_step, self._seen
        self._seen = step
        if step == last or step % max(1, getattr(trainer, "log_every_n_steps", 1)) or not self._writes(trainer):
            return
        with self._harmless():
            self._note(trainer, ("train/", "system/"))
            left = self.pace.seconds_left(trainer)
        if left is not None:
            pl_module.log("min_left", left / 60, prog_bar=True, logger=False, batch_size=1)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training pauses."""
        self.pace.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the page."""
        self.pace.resume(first=trainer.sanity_checking)
        if not self._writes(trainer) or (trainer.sanity_checking and math.isfinite(trainer.num_sanity_val_steps)):
            return
        with self._harmless():
            self._note(trainer, ("val/",))
            self._draw(trainer, pl_module)
            self._write(trainer, "training")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how it ended, and where it is told."""
        why = early_end(trainer)
        self._write(trainer, "finished" if why is None else f"ended early: {why}")
        if self._writes(trainer) and not self._said:
            print(f"see {Path(trainer.default_root_dir) / 'report.html'}")  # noqa: T201

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say that it was stopped."""
        if self._info:
            said = str(exception).splitlines()
            stopped = isinstance(exception, SystemExit | KeyboardInterrupt) or not said
            self._write(trainer, "stopped" if stopped else f"stopped: {said[0][:300]}")

    def _writes(self, trainer: pl.Trainer) -> bool:
        fitting = trainer.state.fn == TrainerFn.FITTING and not getattr(trainer, "fast_dev_run", False)
        return self.write and fitting and trainer.is_global_zero

    def _begin(self, trainer: pl.Trainer, module: pl.LightningModule, *, step: int) -> None:
        if not self._writes(trainer) or self._info:
            return
        with self._harmless():
            before = read_info(trainer.default_root_dir) if step else {}
            if step:
                found = read_figures(trainer.default_root_dir)
                self._figures = {name: [point for point in each if point[0] <= step] for name, each in found.items()}
            command = {"command": self.command, "started": _now(), "step": step}
            self._info = {
                "commands": [*before.get("commands", []), command],
                "environment": environment(trainer),
                "data": funnels(getattr(trainer, "datamodule", None)),
            }
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    config = yaml.safe_dump(getattr(module, "run_config", None) or {}, sort_keys=False)
                    draw_settings(logger, command=self.command, config=config, step=step)

    def _note(self, trainer: pl.Trainer, beginnings: tuple[str, ...]) -> None:
        """Take what was logged under these names, without the metrics that `results.csv` has."""
        step = trainer.global_step
        for name, value in trainer.callback_metrics.items():
            scored = name.startswith("val/") and name.count("/") == 2 and not name.endswith("/loss")
            if name.startswith(beginnings) and not scored and math.isfinite(float(value)):
                points = self._figures.setdefault(name, [])
                if name.startswith("train/loss_t/") and points and points[-1][1] == float(value):
                    continue  # of an earlier log line: no row of this one had such a timestep
                if points and points[-1][0] >= step:
                    points.pop()
                points.append((step, float(value)))

    def _draw(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Fill the HPARAMS tab, once there is something to show."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        config = getattr(module, "run_config", None) or {}
        parts = {name: config[name] for name in ("model", "data", "ema") if name in config}
        parts["trainer"] = {name: value for name, value in config.get("trainer", {}).items() if name in TRAINER}
        if self._drawn or not metrics:
            return
        self._drawn = True
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                draw_parameters(logger, dict(flat(parts)), metrics)

    def _write(self, trainer: pl.Trainer, state: str, *, page: bool = True) -> None:
        if not self._writes(trainer):
            return
        with self._harmless():
            folder = Path(trainer.default_root_dir)
            progress: dict[str, Any] = {"step": trainer.global_step, "total": total_steps(trainer), "state": state}
            progress |= {"seconds_left": self.pace.seconds_left(trainer), "updated": _now()}
            write_atomic(folder / INFO, json.dumps(self._info | {"progress": progress}, indent=1) + "\n")
            write_figures(folder, self._figures)
            if page:
                from idiff.reporting.page import write_report  # loads jinja2

                write_report(folder)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Say once that something failed, and go on."""
        try:
            yield
        except Exception as error:  # whatever it is, the training is worth more
            if not self._said:
                log.warning("report.html was not written (%s: %s). Training goes on.", type(error).__name__, error)
            self._said = True


def environment(trainer: pl.Trainer) -> dict[str, str]:
    """What a run is computed with."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type}: {name}",
        "devices": str(trainer.world_size),
        "precision": str(trainer.precision),
        "processor cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
    }


def funnels(datamodule: Any) -> list[dict[str, Any]]:
    """What each task's sets hold and how many images each step of their build left, by their manifests."""
    found = []
    for task, entry in getattr(datamodule, "entries", {}).items():
        for split in ("train", "val", "test"):
            folder = str(getattr(entry, split, None))
            try:
                manifest = json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
                known = {name: manifest[name] for name in ("source", "samples", "items", "unit", "funnel")}
            except (OSError, TypeError, ValueError, KeyError):  # none, remote, or read in another way
                continue
            found.append({"task": task, "split": split, "folder": folder, **known})
    return found


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
