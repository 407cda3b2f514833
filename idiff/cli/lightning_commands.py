"""`idiff fit | validate | test | predict`: the Lightning command line over composed configurations."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import LightningDataModule
from lightning.pytorch.cli import LightningCLI

from idiff.cli.stage_cli import SaveConfig, StageCLI
from idiff.cli.trainer import quiet
from idiff.config.compose import compose, notice
from idiff.config.messages import said_by_us, short
from idiff.errors import ConfigError
from idiff.stages.base import Stage
from idiff.utils.moved import modern_name

METHODS = LightningCLI.subcommands()


FRESH = "--fresh"
"""The option of `fit` that renames a run which is in the way."""


def run(words: list[str]) -> int:
    """Run `fit`, `validate`, `test` or `predict`.

    Raises:
        ConfigError: an unknown key or a value that does not fit, in one sentence.
    """
    method, rest = words[0], words[1:]
    quiet()
    files, rest = _take_configs(rest)
    staged: list[str] = []
    with tempfile.TemporaryDirectory(prefix="idiff-") as folder:
        if files:
            path = Path(folder) / "config.yaml"
            path.write_text(yaml.safe_dump(compose(files), sort_keys=False, allow_unicode=True), encoding="utf-8")
            staged = ["--config", str(path)]
        settings: dict[str, Any] = {
            "subcommands": staticmethod(lambda: {method: METHODS[method]}),
            "fresh": FRESH in rest,
        }
        settings["command"] = shlex.join(["idiff", *words])
        only = type("StageCLI", (StageCLI,), settings)
        rest = [word for word in rest if word != FRESH]
        try:
            only(
                model_class=Stage,
                datamodule_class=LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                seed_everything_default=0,
                save_config_callback=SaveConfig if method == "fit" else None,
                save_config_kwargs={"save_to_log_dir": False},
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
            option, equals, value = word.partition("=")
            rest.append(modern_name(option, notice) + equals + value if word.startswith("--") else word)
    return files, rest
