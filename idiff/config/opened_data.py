"""The data of a training, opened before its model is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace

from idiff.config.sections import sections
from idiff.data.datamodule import StreamDataModule


def opened_data(section: Any, command: str, *, said: Callable[[str], None]) -> Any:
    """Make the data module that a configuration describes, and open its sets.

    Args:
        section: parsed `data`, with `class_path` and `init_args`.
        command: `fit`, `validate`, `test` or `predict`.
        said: told what is missing and worth a word.

    Returns:
        the data module; a class of a user's own is made, and opens its sets in its own time.

    Raises:
        ConfigError: a setting that cannot be used.
        DataError: a folder that is missing or damaged, or of another task.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(sections()["data"], "data", fail_untyped=False)
    with torch.random.fork_rng(devices=[]):  # the model's first weights do not depend on the data
        module = parser.instantiate_classes(Namespace(data=section)).data  # type: ignore[no-untyped-call]
    if isinstance(module, StreamDataModule) and type(module).setup is StreamDataModule.setup:
        module.setup(command)
        if command == "fit" and not any(entry.val for entry in module.entries.values()):
            said("no task has a `val` set: nothing is scored, and there will be no best.ckpt and no results.csv")
    return module
