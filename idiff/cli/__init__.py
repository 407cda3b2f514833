"""One command, `idiff`. The first word picks the part; only that part is imported, so that help is quick."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from idiff._version import __version__
from idiff.cli.foreign import in_words
from idiff.cli.own_code import search_here, with_trust
from idiff.errors import IdiffError, UntrustedError, unknown
from idiff.utils.task_notes import task_commands

COMMANDS = {
    "fit": (
        "idiff.cli.training",
        "train a stage: idiff fit --config YAML [--ckpt_path last|FILE] [overrides]",
    ),
    "validate": ("idiff.cli.training", "score a checkpoint on the validation sets of a configuration"),
    "test": (
        "idiff.cli.training",
        "score a checkpoint on the test sets of a configuration (`test:` beside `val:`)",
    ),
    "predict": ("idiff.cli.training", "write masks, keypoints and output images"),
    "run": ("idiff.cli.run", "train several stages in a row: idiff run EXPERIMENT.yaml [--dry]"),
    "report": ("idiff.cli.report", "rebuild the page of a run, or compare runs: idiff report RUN [OTHER ...]"),
    "evaluate": ("idiff.cli.evaluate", "score a checkpoint on shards and write a metric card"),
    "tune": ("idiff.cli.tune", "find the cheapest sampling settings that are good enough, on validation shards"),
    "segment": ("idiff.cli.answer", 'find what a phrase names: idiff segment PHOTO "the red star"'),
    "keypoints": ("idiff.cli.answer", 'find joints of a person: idiff keypoints PHOTO "left hand, right hand"'),
    "edit": ("idiff.cli.answer", "change an image as a sentence says"),
    "restore": ("idiff.cli.answer", "take noise, blur or a watermark out: idiff restore PHOTO denoise"),
    **{name: ("idiff.cli.task_answer", each.line) for name, each in task_commands().items()},
    "serve": ("idiff.cli.serve", "serve a model as a local web page and an HTTP API: idiff serve [--port N]"),
    "import": (
        "idiff.cli.importing",
        "convert weights of Stable Diffusion 1.5, InstructPix2Pix or InstructDiffusion",
    ),
    "export": ("idiff.cli.export", "write a checkpoint as safetensors, a diffusers pipeline, or a CompVis file"),
    "push": ("idiff.cli.push", "upload an exported model to the Hugging Face hub: idiff push DIR --repo OWNER/NAME"),
    "align": ("idiff.cli.align.commands", "human alignment: make candidate edits, pick the best, build shards"),
    "instructions": ("idiff.cli.instructions.commands", "check instruction templates, and multiply them"),
    "data": ("idiff.cli.data.commands", "build, check and look at shards"),
    "doctor": (
        "idiff.cli.doctor",
        "check the machine and the installation, and print a block for a bug report",
    ),
    "init": ("idiff.cli.init", "start a project of your own: configurations and a first experiment"),
    "new": ("idiff.cli.new", "write the files of a task or a data set of your own: idiff new task NAME"),
    "schema": ("idiff.cli.schema", "write JSON Schemas of the configuration files, for editors"),
}


DEBUG = "--debug"
"""The option of every command that shows the traceback of an error."""


def usage() -> str:
    """The text of `idiff --help`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    more = "idiff COMMAND --help says more. With --debug every command shows the traceback of an error."
    return "\n".join(["usage: idiff COMMAND ...", "", *lines, "", more])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: words after `idiff`; None: those of the process.

    Returns:
        the exit code: 0 done, 1 a check failed, 2 bad input or configuration, 143 after SIGTERM with everything saved.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    words = [word for word in given if word != DEBUG]
    if not words or words[0] in {"-h", "--help"}:
        print(usage())  # noqa: T201
        return 0 if words else 2
    if words[0] in {"-V", "--version"}:
        print(f"idiff {__version__}")  # noqa: T201
        return 0
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    try:
        if words[0] not in COMMANDS:
            raise unknown("command", words[0], COMMANDS)
        part = importlib.import_module(COMMANDS[words[0]][0])
        # the parts that serve several commands need the word itself
        code: int = part.run(words if COMMANDS[words[0]][0].endswith(("training", "answer")) else words[1:])
        return code
    except Exception as error:
        said = error if isinstance(error, IdiffError) else in_words(error)
        if said is None:
            raise
        if DEBUG in given:
            traceback.print_exception(error)
        more = f":\n  {with_trust(words)}" if isinstance(said, UntrustedError) else ""
        print(f"idiff: {said}{more}", file=sys.stderr)  # noqa: T201
        return said.exit_code
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2 if stop.code else 0
    except KeyboardInterrupt:
        print("idiff: interrupted", file=sys.stderr)  # noqa: T201
        return 130


def console() -> None:
    """Entry point of the console script. The working folder is searched last, where a command may name a class in it."""
    search_here(sys.argv[1:])
    sys.exit(main())


__all__ = ["COMMANDS", "console", "main", "usage"]
