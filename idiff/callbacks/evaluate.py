"""Validation as the field scores it: painted images are decoded, combined, scored; curves, images and a table come out."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from torch import Tensor

from idiff.callbacks.board import draw_validation
from idiff.callbacks.examples import Examples
from idiff.callbacks.protocols import render_of, task_of
from idiff.callbacks.records import append_results, draw_grids, read_results, render_table, write_worst
from idiff.callbacks.schedule import log_own_figures, validate_at_end, validate_now
from idiff.callbacks.scoring import GroupPrediction, Score, TaskEvaluator, of_all_ranks
from idiff.checks import check_number
from idiff.tasks.base import Task
from idiff.types import Batch, Painted


class Evaluate(pl.Callback):
    """Score every validation loader by its task, and log `val/<task>/<metric>` and their mean headline `val/score`.

    Test loaders are scored alike, under `test/`. A stage whose step returns no `Painted` is not scored, and has no `val/score`; of
    one without `render` the ceiling is not known.

    The tasks are the data module's `tasks`, by the names its batches carry. Results stay in `results` until the next validation;
    a fit also keeps them in `results.csv` and the images in `samples/` of its run folder. With `trainer.num_sanity_val_steps: -1`,
    which `idiff fit` sets where nothing else is said, the weights training starts from are scored as step 0.

    Args:
        pictures: samples of each task in the grid source / edited / target / decoded under `val/<task>`.
        baselines: score ceiling, identity and baseline at the first validation, and show them beside the model ever after.
        table: print a table in the terminal.
        at_end: validate after the last step of a fit, whatever the trainer's schedule.
        worst: samples of each task with the lowest score, kept in `worst/` of the run folder by a fit; 0: none.
    """

    def __init__(
        self, pictures: int = 8, baselines: bool = True, table: bool = True, at_end: bool = True, worst: int = 20
    ) -> None:
        for name, count in {"pictures": pictures, "worst": worst}.items():
            check_number(f"evaluate.{name}", count, least=0, whole=True)
        self.pictures, self.baselines, self.table, self.at_end = pictures, baselines, table, at_end
        self.worst = worst
        self.results: dict[str, Score] = {}
        self.seconds: dict[str, float] = {}
        self.evaluations: dict[str, float] = {}  # U-Net samples a query, the mean of what was spent
        self._spent: dict[str, tuple[int, int]] = {}
        self._floors: dict[str, Score] = {}
        self._scorers: dict[str, TaskEvaluator] = {}
        self._examples: dict[str, Examples] = {}
        self._began = 0.0
        self._train_mark: tuple[float, int] | None = None

    def scorer(self, task: Task, *, baselines: bool) -> TaskEvaluator:
        """What collects the metrics of a task."""
        return TaskEvaluator(task, baselines=baselines)

    def found(self, batch: Batch, edited: Tensor, found: list[GroupPrediction]) -> None:
        """Called with what was decoded of each batch; edited: (B, 3, H, W), painted. Nothing more is done with it here."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Let a fit validate where it ends, too."""
        if stage == "fit" and self.at_end:
            validate_at_end(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make up for the validation at the end where the run was cut in it: going on with it finds no step left to train."""
        validated = [int(row["step"]) for row in read_results(trainer.default_root_dir)]
        if self.at_end and not self.results and validated and max(validated) < trainer.global_step == trainer.max_steps:
            validate_now(trainer)

    # throughput of training

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Log `system/samples_per_second` over the steps between two log lines."""
        if self._train_mark is None:
            self._train_mark = (time.perf_counter(), 0)
            return
        began, count = self._train_mark
        count += len(batch) * trainer.world_size
        self._train_mark = (began, count)
        if (batch_idx + 1) % max(1, getattr(trainer, "log_every_n_steps", 1) * trainer.accumulate_grad_batches) == 0:
            pl_module.log("system/samples_per_second", count / (time.perf_counter() - began), batch_size=1)
            self._train_mark = (time.perf_counter(), 0)

    # validation

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what was scored before."""
        self._scorers, self._examples, self._train_mark = {}, {}, None
        self.seconds, self.evaluations, self._spent = {}, {}, {}

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Time the painting."""
        self._began = time.perf_counter()

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Decode and score one batch of one task."""
        if not isinstance(outputs, Painted):
            return
        name = batch.task[0]
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - self._began
        count, rows = self._spent.get(name, (0, 0))
        self._spent[name] = count, rows = count + sum(outputs.evaluations), rows + len(batch)
        self.evaluations[name] = count / rows
        task = task_of(trainer, name)
        if name not in self._scorers:
            self._scorers[name] = self.scorer(task, baselines=self.baselines and name not in self._floors)
        with torch.no_grad():
            found = self._scorers[name].update(batch, outputs, render_of(pl_module))
        self.found(batch, outputs.images, found)
        if trainer.is_global_zero and (self.pictures or self.worst):
            worst = self.worst if trainer.state.fn == TrainerFn.FITTING else 0
            kept = self._examples.setdefault(name, Examples(task, first=self.pictures, worst=worst))
            kept.add(batch, outputs.images, found)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute, log, draw, print."""
        if trainer.sanity_checking:
            if math.isfinite(trainer.num_sanity_val_steps):
                return
            log_own_figures(trainer, pl_module)
        self.results = {}
        headlines = []
        for name, scorer in self._scorers.items():
            score = scorer.compute()
            counts, rows = zip(*of_all_ranks(self._spent[name]), strict=True)
            self.evaluations[name] = sum(counts) / max(1, sum(rows))
            if scorer.baselines:
                self._floors[name] = score
            elif name in self._floors:
                floors = self._floors[name]
                score.ceiling, score.painted, score.identity = floors.ceiling, floors.painted, floors.identity
                score.baseline, score.baseline_name = floors.baseline, floors.baseline_name
            self.results[name] = score
            headlines.append(scorer.task.headline_share(score.metrics[scorer.task.headline]))
        if not headlines:
            return
        known = [value for value in headlines if not math.isnan(value)]
        split = "test" if trainer.testing else "val"
        figures = {
            f"{split}/{name}/{key}": value
            for name, score in self.results.items()
            for key, value in score.metrics.items()
        }
        figures[f"{split}/score"] = sum(known) / len(known) if known else math.nan
        for key, value in figures.items():
            pl_module.log(
                key, value, logger=False
            )  # for `best`; the logger gets them below, at the step that was scored
        if trainer.is_global_zero:
            fitting = trainer.state.fn == TrainerFn.FITTING
            step = trainer.global_step if fitting else int(getattr(pl_module, "loaded_step", 0))
            self._record(trainer, figures, split, step=step)

    on_test_epoch_start = on_validation_epoch_start
    on_test_batch_start = on_validation_batch_start
    on_test_batch_end = on_validation_batch_end
    on_test_epoch_end = on_validation_epoch_end

    def _record(self, trainer: pl.Trainer, figures: dict[str, float], split: str, *, step: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(figures, step=step)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if (fitting or trainer.loggers) and not getattr(trainer, "fast_dev_run", False):
            if fitting:
                append_results(trainer.default_root_dir, self.results, step=step)
                write_worst(trainer.default_root_dir, self._examples, step=step)
            drawn = draw_grids(trainer.default_root_dir, self._examples, step=step)
            for logger in trainer.loggers:
                if isinstance(logger, TensorBoardLogger):
                    draw_validation(logger, self.results, self._examples, drawn, step=step)
        if self.table:
            mean = figures[f"{split}/score"]
            total = f"{split}/score {'unknown' if math.isnan(mean) else f'{mean:.4f}'}"
            Console().print(render_table(self.results, step=step, below=total))
