"""`idiff fit | validate | test | predict`: the Lightning command line over composed configurations."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from idiff.callbacks import AtomicCheckpointIO, ProgressLines
from idiff.callbacks.checkpoint_io import newest
from idiff.config.compose import compose
from idiff.config.messages import said_by_us, short
from idiff.config.resume import PARTS, refuse_changes
from idiff.config.sections import RESUME_ALLOW, callbacks
from idiff.errors import CheckpointError, ConfigError
from idiff.models.io.checkpoint import read
from idiff.stages.base import Stage
from idiff.utils.files import own_run
from idiff.utils.hardware import fast_bfloat16

METHODS = LightningCLI.subcommands()


class StageCLI(LightningCLI):
    """LightningCLI with the project's callbacks, a fixed run folder, and checkpoints that only bring weights and progress."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The callbacks every run has, and what may differ when a run goes on."""
        for name, kind in callbacks().items():
            parser.add_lightning_class_args(kind, name)
        parser.add_argument(
            f"--{RESUME_ALLOW}",
            default="",
            help="settings that may differ from the checkpoint's, dotted, with commas between",
        )
        parser.set_defaults({"trainer.default_root_dir": "runs/default", "trainer.use_distributed_sampler": False})

    def _parse_ckpt_path(self) -> None:
        """A checkpoint never changes the configuration: what the YAML and the command line say holds."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with TensorBoard straight in the run folder and atomic checkpoints."""
        settings = self._get(self.config_init, "trainer")
        root = Path(settings["default_root_dir"])
        fit = self.subcommand == "fit"
        self._prepare_folder(root, fast=bool(settings.get("fast_dev_run")))
        self._start = self._checkpoint(self._get(self.config_init, "ckpt_path"), root / "checkpoints", fit=fit)
        self._resumed = read(self._start) if fit and self._start is not None else {}
        if settings.get("logger") in {None, True}:
            # of a run that goes on, steps after the checkpoint are drawn once
            step = self._resumed.get("global_step")
            kwargs["logger"] = fit and TensorBoardLogger(save_dir=str(root), name="", version="", purge_step=step)
        plugins = settings.get("plugins") or []
        if not sys.stdout.isatty() and settings.get("enable_progress_bar") is None:
            kwargs["enable_progress_bar"] = False
            kwargs["callbacks"] = [*(settings.get("callbacks") or []), ProgressLines()]
        kwargs["plugins"] = [*(plugins if isinstance(plugins, list) else [plugins]), AtomicCheckpointIO()]
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        """Let the checkpoint carry the configuration as plain values, so that it can be used alone; compare it on resume."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False, skip_link_targets=False, format="yaml"))
        config = config.get(self.subcommand, config)
        self.model.run_config = {key: config[key] for key in PARTS if key in config}
        if self._resumed.get("config"):
            allow = [name.strip() for name in self._get(self.config, RESUME_ALLOW).split(",") if name.strip()]
            refuse_changes(self._resumed["config"], self.model.run_config, allow=allow, origin=str(self._start))
        if self._resumed:
            steps = self.trainer.max_steps
            of = f" of {steps:,}" if steps > 0 else ""
            _say(f"resuming from {self._start}, step {self._resumed['global_step']:,}{of}")
        self._resumed = {}
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        if on_cpu and "bf16" in str(self.trainer.precision) and not fast_bfloat16():
            _say(
                "this processor has no bfloat16 of its own: steps will be many times slower than with trainer.precision 32-true"
            )

    def _run_subcommand(self, subcommand: str) -> None:
        alone = subcommand == "fit" and self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False)
        with own_run(self.trainer.default_root_dir) if alone else nullcontext():
            super()._run_subcommand(subcommand)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return super()._prepare_subcommand_kwargs(subcommand) | {"ckpt_path": self._start, "weights_only": True}

    @staticmethod
    def _checkpoint(wanted: str | None, folder: Path, *, fit: bool) -> str | None:
        if wanted == "last":
            path, passed = newest(folder)
            for sentence in passed:
                _say(f"passed over: {sentence}")
            if path is None and not fit:
                raise CheckpointError(f"{folder} holds no checkpoint: train first, or name one with --ckpt_path FILE")
            if path is None:
                _say(f"{folder} holds no checkpoint: starting fresh")
            elif not fit:
                _say(f"weights of {path}")
            return None if path is None else str(path)
        if wanted == "best":
            wanted = str(folder / "best.ckpt")
        if wanted is not None and not Path(wanted).is_file():
            raise CheckpointError(
                f"{wanted} is missing: expected a .ckpt file, or 'last' or 'best' for those in {folder}"
            )
        if wanted is None and not fit:
            raise ConfigError("no weights were named: add --ckpt_path last, best or FILE")
        return wanted

    @staticmethod
    def _prepare_folder(root: Path, *, fast: bool) -> None:
        try:
            if not fast:
                root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the run folder {root} cannot be made: {error.strerror}. Set trainer.default_root_dir to one that can."
            ) from None
        if root.exists() and not os.access(root, os.W_OK):
            raise ConfigError(f"the run folder {root} cannot be written. Set trainer.default_root_dir to one that can.")


def run(words: list[str]) -> int:
    """Run `fit`, `validate`, `test` or `predict`.

    Raises:
        ConfigError: an unknown key or a value that does not fit, in one sentence.
    """
    method, rest = words[0], words[1:]
    _quiet()
    files, rest = _take_configs(rest)
    staged: list[str] = []
    with tempfile.TemporaryDirectory(prefix="idiff-") as folder:
        if files:
            path = Path(folder) / "config.yaml"
            path.write_text(yaml.safe_dump(compose(files), sort_keys=False, allow_unicode=True), encoding="utf-8")
            staged = ["--config", str(path)]
        only = type("StageCLI", (StageCLI,), {"subcommands": staticmethod(lambda: {method: METHODS[method]})})
        try:
            only(
                model_class=Stage,
                datamodule_class=LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=0,
                save_config_callback=SaveConfigCallback if method == "fit" else None,
                save_config_kwargs={"overwrite": True},
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,
                parser_kwargs={"exit_on_error": False},
                args=[method, *staged, *rest],
            )
        except ArgumentError as error:
            raise said_by_us(error) or ConfigError(
                short(str(error), where=", ".join(files) or "the command line")
            ) from None
        except ValueError as error:  # what the parser makes of an error in a constructor
            raise said_by_us(error) or error from None
    return 0


def _take_configs(words: list[str]) -> tuple[list[str], list[str]]:
    files, rest = [], []
    iterator = iter(words)
    for word in iterator:
        if word in {"--config", "-c"}:
            files.append(next(iterator, ""))
        elif word.startswith("--config="):
            files.append(word.partition("=")[2])
        else:
            rest.append(word)
    return files, rest


def _quiet() -> None:
    """Leave out what a user can do nothing about."""
    warnings.filterwarnings("ignore", message=".*LightningCLI's args parameter is intended.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=r"Found \d+ module.s. in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", message=".*num_workers.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    for name in ("utilities.rank_zero", "trainer.connectors.checkpoint_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def _say(text: str) -> None:
    sys.stderr.write(f"idiff: {text}\n")
