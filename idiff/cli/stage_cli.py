"""Lightning's command line with what every training of this package has."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.model_helpers import is_overridden

from idiff.callbacks import AtomicCheckpointIO
from idiff.cli.run_logging import logged
from idiff.cli.trainer import check_settings, say_aside, slow_bfloat16
from idiff.cli.watched import refuse_unlogged
from idiff.config.opened_data import opened_data
from idiff.config.resume import PARTS, refuse_changes, refuse_unsharded
from idiff.config.run_folder import RunFolder, progress_of, redrawn_from, start_of
from idiff.config.sections import RESUME_ALLOW, callbacks
from idiff.errors import ConfigError
from idiff.models.io.checkpoint import read
from idiff.utils.files import own_run
from idiff.utils.settings import as_list
from idiff.utils.strings import names_in


class StageCLI(LightningCLI):
    """LightningCLI with the project's callbacks, a fixed run folder, and checkpoints that only bring weights and progress."""

    fresh = False  # rename a run that is in the way
    command = ""  # the command line, as it was typed
    made: RunFolder

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The callbacks every run has, and what may differ when a run goes on."""
        for name, kind in callbacks().items():
            parser.add_lightning_class_args(kind, name)
        parser.add_argument(
            f"--{RESUME_ALLOW}", default="", help="settings that may differ, dotted, with commas between"
        )
        parser.set_defaults({
            "trainer.default_root_dir": "runs/default", "trainer.use_distributed_sampler": False,
            "trainer.num_sanity_val_steps": -1,
        })  # fmt: skip

    def _parse_ckpt_path(self) -> None:
        """A checkpoint never changes the configuration: what the YAML and the command line say holds."""

    def instantiate_classes(self) -> None:
        """Open the data before the model is made: a wrong folder is said before anything is loaded or renamed."""
        trainer = self._get(self.config, "trainer")
        type(self).made = RunFolder(Path(trainer["default_root_dir"]), fast=bool(trainer.get("fast_dev_run")))
        self._anew = self.subcommand == "fit" and self._get(self.config, "ckpt_path") is None
        if self._anew:
            self.made.refuse_overwriting(fresh=self.fresh)
        config = self.config.clone()
        self.datamodule = opened_data(self._get(config, "data"), str(self.subcommand), said=say_aside)
        config[self.subcommand].data = self.datamodule
        self.config_init = self.parser.instantiate_classes(config)
        self.model = self._get(self.config_init, "model")
        if self.subcommand == "fit":
            named = as_list(self._get(self.config_init, "trainer").get("callbacks"))
            refuse_unlogged([*named, self._get(self.config_init, "best")], stage=self.model, data=self.datamodule)
        self.trainer = self.instantiate_trainer()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The trainer, with TensorBoard straight in the run folder and atomic checkpoints."""
        settings = self._get(self.config_init, "trainer")
        check_settings(settings)
        fit, wanted, root = self.subcommand == "fit", self._get(self.config_init, "ckpt_path"), self.made.prepare()
        self._start = start_of(wanted, root / "checkpoints", fit=fit, said=say_aside, own=self.model.bases)
        self._resumed = read(self._start) if fit and self._start is not None else {}
        kwargs |= logged(settings, root=root, purge_step=redrawn_from(self._resumed, settings), fit=fit)
        self._get(self.config_init, "report").command = self.command
        kwargs["plugins"] = [*as_list(settings.get("plugins")), AtomicCheckpointIO()]
        self.trainer = self.made.trainer = super().instantiate_trainer(**kwargs)
        if self._anew and self.fresh:
            self.made.put_aside(say_aside)
        return self.trainer

    def before_fit(self) -> None:
        """Let the checkpoint carry the configuration as plain values, so that it can be used alone; compare it on resume."""
        config = yaml.safe_load(self.parser.dump(self.config, skip_none=False, skip_link_targets=False, format="yaml"))
        config = config.get(self.subcommand, config)
        self.model.run_config = {key: config[key] for key in PARTS if key in config}
        if self._resumed.get("config"):
            allow = names_in(self._get(self.config, RESUME_ALLOW))
            refuse_changes(self._resumed["config"], self.model.run_config, allow=allow, origin=str(self._start))
        if self._resumed:
            refuse_unsharded(self._resumed, strategy=type(self.trainer.strategy).__name__, origin=str(self._start))
            say_aside(progress_of(str(self._start), self._resumed, self._get(self.config_init, "trainer")))
        self._resumed = {}
        if slow_bfloat16(self.trainer):
            say_aside(
                "this processor has no bfloat16 of its own: use trainer.precision 32-true, which is many times faster"
            )

    def before_validate(self) -> None:
        """Refuse a stage that has nothing to validate.

        Raises:
            ConfigError: it has no `validation_step`.
        """
        if not is_overridden("validation_step", self.model):
            raise ConfigError(
                f"model: {type(self.model).__name__} has no `validation_step`, which idiff {self.subcommand} runs: give it one "
                "that returns idiff.types.Painted, or logs figures of its own."
            )

    before_test = before_validate

    def _run_subcommand(self, subcommand: str) -> None:
        alone = subcommand == "fit" and self.trainer.is_global_zero and not getattr(self.trainer, "fast_dev_run", False)
        with own_run(self.trainer.default_root_dir) if alone else nullcontext():
            super()._run_subcommand(subcommand)

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        return super()._prepare_subcommand_kwargs(subcommand) | {"ckpt_path": self._start, "weights_only": True}
