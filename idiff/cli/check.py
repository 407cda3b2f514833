"""`idiff fit ... --check [--memory 12GB]`: what a training would do and need, without a step of it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from idiff.cli.arguments import say
from idiff.cli.stage_cli import StageCLI
from idiff.config.opened_data import opened_data
from idiff.errors import ConfigError
from idiff.models.outline import emptied, weights_left_out
from idiff.planning.data import plan_sets, write_examples
from idiff.planning.plan import Plan, add_memory, lines, parameters_of, refuse_too_large, settings_of
from idiff.planning.timing import time_steps
from idiff.utils.files import write_atomic

CHECK, MEMORY = "--check", "--memory"
UNITS = {"": 1e9, "G": 1e9, "GB": 1e9, "GIB": 2.0**30, "M": 1e6, "MB": 1e6, "MIB": 2.0**20}
SMALL = 50_000_000
"""Parameters up to which steps are timed on the processor, too."""


def take_check(words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The options of the dry run, and the other words; empty where it is not asked for.

    Raises:
        ConfigError: `--memory` without `--check`, or not a size.
    """
    rest, size, iterator = [], None, iter(words)
    for word in iterator:
        name, equals, value = word.partition("=")
        if name == MEMORY:
            size = value if equals else next(iterator, "")
        elif word != CHECK:
            rest.append(word)
    if CHECK not in words:
        if size is not None:
            raise ConfigError(f"{MEMORY} is an option of the dry run: add {CHECK}.")
        return {}, rest
    return {"limit": None if size is None else bytes_of(size)}, rest


def bytes_of(size: str) -> float:
    """A size such as 12GB, 24GiB or 800MB in bytes.

    Raises:
        ConfigError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", size.strip())
    if match is None or match[2].upper() not in UNITS or float(match[1]) == 0:
        raise ConfigError(f"{MEMORY} is '{size}': expected a size such as 12GB, 24GiB or 800MB.")
    return float(match[1]) * UNITS[match[2].upper()]


class CheckCLI(StageCLI):
    """The command line of `fit` up to where training would begin: no weights are read, no run folder is made."""

    limit: float | None = None

    def instantiate_classes(self) -> None:
        """Open the data, then build the stage, whose networks have shapes alone. There is no trainer: no device has to be here."""
        config = self.config.clone()
        self.datamodule = opened_data(self._get(config, "data"), str(self.subcommand), said=_say)
        config[self.subcommand].data = self.datamodule
        with weights_left_out():
            self.config_init = self.parser.instantiate_classes(config)
        self.model = self._get(self.config_init, "model")

    def _run_subcommand(self, subcommand: str) -> None:
        stage, data, trainer = self.model, self.datamodule, self._get(self.config_init, "trainer")
        root = Path(trainer.get("default_root_dir") or "runs/default")
        folder = root.with_name(root.name + "-check")
        average = bool(getattr(self._get(self.config_init, "ema"), "decay", 0))
        plan = Plan(*parameters_of(stage), steps=_positive(trainer.get("max_steps")), limit=self.limit)
        if hasattr(stage, "backbone") and hasattr(data, "tasks"):
            settings = settings_of(stage, data, trainer, average=average)
            emptied(stage.backbone)
            add_memory(plan, stage.backbone, settings, limit=self.limit)
            states = 0 if plan.memory is None else plan.memory.states
            plan.kept, plan.file = 2, 4 * sum(plan.trained.values()) * (1 + average) + states
        if hasattr(data, "entries") and data.epoch_samples is None:
            plan.sets = plan_sets(data.entries, seed=data.seed)
            write_examples(data.entries, folder / "examples.png", seed=data.seed)
            self._time(plan, data, trainer)
            content = plan.describe()
            write_atomic(folder / "check.yaml", yaml.safe_dump(content, sort_keys=False), error=ConfigError)
        say("\n".join(lines(plan)))
        if plan.sets:
            say(f"examples {folder / 'examples.png'}")
        refuse_too_large(plan)

    def _time(self, plan: Plan, data: Any, trainer: Any) -> None:
        """Time steps where a device can take them: on CUDA, and on the processor where the model is small."""
        cuda = torch.cuda.is_available() and trainer.get("accelerator") in {"auto", "gpu", "cuda", None}
        if plan.memory is None or not (cuda or plan.memory.parameters <= SMALL) or not plan.fits:
            return
        stage = self.parser.instantiate_classes(self.config)[self.subcommand].model
        batch = next(iter(data.train_dataloader()))
        plan.device = torch.cuda.get_device_name() if cuda else "the processor"
        precision = plan.settings.precision if plan.settings else "32-true"
        plan.seconds, plan.measured = time_steps(stage, batch, device="cuda" if cuda else "cpu", precision=precision)


def _positive(steps: Any) -> int | None:
    return steps if isinstance(steps, int) and steps > 0 else None


def _say(text: str) -> None:
    sys.stderr.write(f"idiff: {text}\n")
