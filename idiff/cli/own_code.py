"""Code of a user's own: which commands may look for it in the working folder, and the option that trusts a file's."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from idiff.utils.task_notes import task_commands

TRUST = "--trust"

CLASS_PATHS = {"fit", "validate", "test", "predict", "run", "evaluate", "tune"}
"""Commands that always take a `class_path` or `MODULE.NAME`: in a configuration, or as an option."""

WITH_CLASS_PATHS = {
    **{(command, ""): ("--sampler",) for command in ("segment", "keypoints", "edit", "restore", *task_commands())},
    ("align", "generate"): ("--sampler",),
    ("data", "browse"): ("--task",),
    ("data", "cache"): ("--config",),
    ("data", "filter"): ("--features",),
}
"""Commands that take one by one of these options."""


def search_here(words: Sequence[str]) -> None:
    """Look for modules in the working folder, after everything that is installed, where the command may name some.

    `python -m` puts that folder first: it is taken from there. A file that lies beside the data, such as `cv2.py`, never takes the
    place of a library.

    Args:
        words: those after `idiff`.
    """
    here = os.getcwd()  # noqa: PTH109
    if not sys.flags.safe_path and sys.path and sys.path[0] in {"", here} and _run_as_module():
        del sys.path[0]
    if names_code(words) and here not in sys.path:
        sys.path.append(here)


def names_code(words: Sequence[str]) -> bool:
    """Whether a command may import what a user wrote."""
    command, *rest = [word for word in words if word != "--debug"] or [""]
    options = {word.partition("=")[0] for word in rest}
    if command in CLASS_PATHS or TRUST in options:
        return True
    if (command, *rest[:1]) == ("data", "build"):
        return any({".", ":"} & set(word) for word in rest[1:] if not word.startswith("-") and "/" not in word)
    known = WITH_CLASS_PATHS.get((command, ""), WITH_CLASS_PATHS.get((command, rest[0] if rest else ""), ()))
    return bool(options.intersection(known))


def _run_as_module() -> bool:
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return spec is not None and spec.name.partition(".")[0] == "idiff"


def add_trust(options: argparse.ArgumentParser) -> None:
    """Add `--trust` to a command that reads what a checkpoint was trained with."""
    text = "import and run code of others that the checkpoint names, and read the files that it names"
    options.add_argument(TRUST, action="store_true", help=text)


def with_trust(words: Sequence[str]) -> str:
    """The command that the words were, with `--trust`, as a shell takes it."""
    return shlex.join(["idiff", *words, TRUST])
