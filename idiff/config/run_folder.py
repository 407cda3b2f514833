"""The folder of a run, and the checkpoint in it that a command begins with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from idiff.callbacks.checkpoint_io import newest
from idiff.errors import CheckpointError, ConfigError
from idiff.utils.files import put_aside


class RunFolder:
    """A run folder: made without overwriting a run, and taken back where the run is refused.

    Args:
        root: the folder; it may be missing, as may be folders above it.
        fast: the run writes nothing, as with `trainer.fast_dev_run`.

    Attributes:
        trainer: the run's, once there is one; its `global_step` tells whether anything was trained.
    """

    def __init__(self, root: Path, *, fast: bool = False) -> None:
        self.root, self.fast = root, fast
        self.trainer: Any = None
        self._missing = [each for each in (root, *root.parents) if not each.exists()]

    def refuse_overwriting(self, *, fresh: bool) -> None:
        """See that a new run does not overwrite one that is there, unless `fresh` will rename it.

        Raises:
            ConfigError: there are checkpoints.
        """
        if not fresh and self._holds_run():
            raise ConfigError(
                f"{self.root} holds a run already: go on with it by --ckpt_path last, set trainer.default_root_dir to another "
                "folder, or begin anew with --fresh, which renames the old run."
            )

    def prepare(self) -> Path:
        """Make the folder where it is missing, and see that it can be written.

        Raises:
            ConfigError: it cannot be made or written, or a file lies where its checkpoints belong.
        """
        root = self.root
        try:
            if not self.fast:
                root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the run folder {root} cannot be made: {error.strerror}. Set trainer.default_root_dir to one that can."
            ) from None
        if root.exists() and not os.access(root, os.W_OK):
            raise ConfigError(f"the run folder {root} cannot be written. Set trainer.default_root_dir to one that can.")
        checkpoints = root / "checkpoints"
        if checkpoints.exists() and not checkpoints.is_dir():
            raise ConfigError(f"{checkpoints} is a file: expected a folder. Move it, or set trainer.default_root_dir.")
        return root

    def put_aside(self, said: Callable[[str], None]) -> None:
        """Rename the run that is there, if any, and make an empty folder in its place; `said` is told the new name."""
        if self._holds_run():
            put_aside(self.root, said)
            self.root.mkdir()

    def take_back(self) -> None:
        """Remove the folder where this run made it and trained nothing in it, and empty folders that were made above it."""
        if not self._missing or getattr(self.trainer, "global_step", None) or any(self.root.rglob("*.ckpt")):
            return
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in self._missing[1:]:
            with suppress(OSError):  # somebody else's by now
                folder.rmdir()

    def _holds_run(self) -> bool:
        """Whether there are checkpoints that a new run would overwrite; the first process alone looks."""
        names = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")  # Lightning's, torchrun's and SLURM's
        ranks = {os.environ.get(name, "0") for name in names}
        return not self.fast and ranks == {"0"} and any((self.root / "checkpoints").glob("*.ckpt"))


def start_of(
    wanted: str | None, folder: Path, *, fit: bool, said: Callable[[str], None], own: Sequence[str] = ()
) -> str | None:
    """The checkpoint that a command begins with.

    Args:
        wanted: `last`, `best`, or a file; None: `fit` starts fresh.
        folder: the checkpoints of the run.
        fit: the command trains; the others need weights.
        said: called with what is to be said about the choice.
        own: weights that the configuration's model starts from by itself.

    Returns:
        its path; None: start fresh, or take the model's own weights.

    Raises:
        CheckpointError: it is missing.
        ConfigError: no weights were named, and the command needs some.
    """
    if wanted == "last":
        path, passed = newest(folder)
        for sentence in passed:
            said(f"skipping corrupt checkpoint: {sentence}")
        if path is None and not fit:
            raise CheckpointError(f"{folder} holds no checkpoint: train first, or name one with --ckpt_path FILE")
        if path is None:
            said(f"{folder} holds no checkpoint: starting fresh")
        elif not fit:
            said(f"weights of {path}")
        return None if path is None else str(path)
    if wanted == "best":
        wanted = str(folder / "best.ckpt")
    if wanted is not None and not Path(wanted).is_file():
        raise CheckpointError(f"{wanted} is missing: expected a .ckpt file, or 'last' or 'best' for those in {folder}")
    if wanted is None and not fit and not own:
        raise ConfigError(
            "no weights were named: add --ckpt_path last, best or FILE, or let the model start from some (model.init_from, "
            "model.backbone.pretrained)"
        )
    if wanted is None and not fit:
        said(f"no --ckpt_path: the weights of {', '.join(own)} as they are")
    return wanted


def redrawn_from(checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> int | None:
    """The first step that a run draws again: TensorBoard leaves out what was drawn from there on.

    Args:
        checkpoint: what the run goes on from; empty for a new one.
        settings: the trainer's, with `max_steps` and `max_epochs`.

    Returns:
        A step; None where the run is finished and nothing is drawn again.
    """
    step, epochs = checkpoint.get("global_step", 0), checkpoint.get("epoch", 0)
    most_steps, most_epochs = settings.get("max_steps") or -1, settings.get("max_epochs") or -1
    finished = 0 <= most_steps <= step or 0 <= most_epochs <= epochs
    return None if finished else step


def progress_of(origin: str, checkpoint: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """What is to be said of a run that goes on: from where, or that there is nothing left to train.

    Args:
        origin: the checkpoint's file.
        checkpoint: what it holds.
        settings: the trainer's, with `max_steps` and `max_epochs`.
    """
    step, most = checkpoint["global_step"], settings.get("max_steps") or -1
    of = f" of {most:,}" if most > 0 else ""
    if redrawn_from(checkpoint, settings) is None:
        name = "max_steps" if 0 <= most <= step else "max_epochs"
        return f"{origin} is at step {step:,}{of}: nothing is left to train. Raise trainer.{name} to train on"
    return f"resuming from {origin}, step {step:,}{of}"
