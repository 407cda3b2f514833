"""The tasks of a configuration, without a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from idiff.config.messages import said_by_us, short
from idiff.config.sections import sections
from idiff.data.datamodule import MixtureDataModule
from idiff.data.loading.training import TaskEntry
from idiff.errors import ConfigError


def entries_of(data: Any, *, origin: str, files: Sequence[str] = ()) -> Mapping[str, TaskEntry]:
    """The tasks of the data module that a configuration describes, made as `idiff fit` makes it.

    Args:
        data: the section `data`, plain values.
        origin: names the configuration, for errors.
        files: it was read from, for errors that name a line.

    Raises:
        ConfigError: it describes none, or one without tasks.
    """
    entries: Mapping[str, TaskEntry] = {}
    if isinstance(data, dict) and ("class_path" in data or (data.get("init_args") or {}).get("tasks")):
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(sections()["data"], "data")
        described = {"class_path": f"{MixtureDataModule.__module__}.{MixtureDataModule.__name__}"} | data
        try:
            entries = getattr(parser.instantiate_classes(parser.parse_object({"data": described})).data, "entries", {})
        except (ArgumentError, ValueError) as error:
            raise said_by_us(error) or ConfigError(short(str(error), where=origin, files=files)) from None
    if not entries:
        raise ConfigError(
            f"{origin} names no task: expected a task's YAML, or an experiment whose data module has tasks"
        )
    return entries
