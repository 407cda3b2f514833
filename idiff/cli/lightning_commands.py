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

from idiff.cli.check import CheckCLI, take_check
from idiff.cli.foreign import in_words
from idiff.cli.save_config import SaveConfig
from idiff.cli.stage_cli import StageCLI
from idiff.cli.trainer import quiet
from idiff.config.command_words import long_words
from idiff.config.compose import compose, notice
from idiff.config.messages import said_by_us, short
from idiff.errors import ConfigError, IdiffError
from idiff.stages.base import Stage
from idiff.utils.moved import modern_name

METHODS = LightningCLI.subcommands()


FRESH = "--fresh"
"""The option of `fit` that renames a run which is in the way."""

EXAMPLE = "configs/experiment/first_run.yaml"


def run(words: list[str]) -> int:
    """Run `fit`, `validate`, `test` or `predict`.

    Raises:
        ConfigError: an unknown key or a value that does not fit, in one sentence.
    """
    method, rest = words[0], words[1:]
    quiet()
    files, rest = _take_configs(rest)
    checked, rest = take_check(rest) if method == "fit" else ({}, rest)
    asked = {word.partition("=")[0].split(".")[0] for word in rest}
    if not files and not asked & {"-h", "--help", "--print_config"} and not {"--model", "--data"} <= asked:
        beside = next((word for word in rest if word.endswith((".yaml", ".yml"))), "")
        raise ConfigError(f"idiff {method} needs a configuration: idiff {method} --config {beside or EXAMPLE}.")
    staged: list[str] = []
    with tempfile.TemporaryDirectory(prefix="idiff-") as folder:
        if files:
            path, settings = Path(folder) / "config.yaml", compose(files)
            lacking = [f"`{name}:`" for name in ("model", "data") if name not in settings and f"--{name}" not in asked]
            if len(lacking) == 2 and not asked & {"-h", "--help"}:
                wrong = f"{' and '.join(lacking)} are missing. Add them, or include files that have them, as {EXAMPLE} does."
                if "stages" in settings:
                    wrong = f"a chain of stages, not one training: `idiff run {' '.join(files)}` runs it."
                raise ConfigError(f"{', '.join(files)}: {wrong}")
            path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
            staged = ["--config", str(path)]
        rest = long_words(rest, settings if files else {})
        made: dict[str, Any] = {"subcommands": staticmethod(lambda: {method: METHODS[method]}), **checked}
        made |= {"fresh": FRESH in rest, "command": shlex.join(["idiff", *words])}
        only: Any = type("StageCLI", (CheckCLI if checked else StageCLI,), made)
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
        except Exception as error:
            said = _in_words(error, files)
            if said is None:
                raise
            if hasattr(only, "made"):
                only.made.take_back()
            raise said from error
    return 0


def _in_words(error: Exception, files: list[str]) -> IdiffError | None:
    """What an error says to a user; see `idiff.cli.foreign.in_words`."""
    if isinstance(error, IdiffError):
        return error
    if isinstance(error, ArgumentError | ValueError):  # a parser wraps what a constructor raises
        said = said_by_us(error)
        if said is not None:
            return said
    if isinstance(error, ArgumentError):
        return ConfigError(short(str(error), where=", ".join(files) or "the command line", files=files))
    return in_words(error)


def _take_configs(words: list[str]) -> tuple[list[str], list[str]]:
    files, rest = [], []
    iterator = iter(words)
    for word in iterator:
        if word in {"--config", "-c"}:
            file = next(iterator, "")
            if not file or file.startswith("-"):
                raise ConfigError(f"{word} is followed by no file: expected a YAML, such as {EXAMPLE}.")
            files.append(file)
        elif word.startswith("--config="):
            files.append(word.partition("=")[2])
        else:
            option, equals, value = word.partition("=")
            rest.append(modern_name(option, notice) + equals + value if word.startswith("--") else word)
    return files, rest
