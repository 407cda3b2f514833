"""`idiff init DIR`: start a project of your own with configurations and a first experiment."""

from __future__ import annotations

from pathlib import Path

from idiff.cli.arguments import WordParser, say


def parser() -> WordParser:
    """Options of `idiff init`."""
    options = WordParser(prog="idiff init", description=__doc__)
    options.add_argument("folder", metavar="DIR", help="the project's folder; existing files are kept")
    options.add_argument(
        "--all", action="store_true", help="also write the configurations that trained the shipped models"
    )
    return options


def run(words: list[str]) -> int:
    """Write the files. Returns 0.

    Raises:
        ConfigError: a file is there with other content, or the folder cannot be written.
    """
    arguments = parser().parse_args(words)
    from idiff.starting.project import start_project

    folder = Path(arguments.folder)
    written = start_project(folder, everything=arguments.all)
    if not written:
        say(f"{folder}: all files are there already")
        return 0
    say(f"{folder}: {len(written)} files written, configs/ and first.yaml")
    say(f"next: cd {folder}; the head of first.yaml says how to train; `idiff new task|data NAME` begins your own.")
    return 0
