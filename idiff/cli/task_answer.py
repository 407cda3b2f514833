"""The commands of tasks that note one in their sentence file, such as `idiff depth`: one image or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idiff.cli.answer import OUT
from idiff.cli.answer_all import answer_all, output_folder
from idiff.cli.arguments import WEIGHTS_HELP, WordParser
from idiff.cli.asking import add_asking_options, of_pipeline
from idiff.cli.own_code import add_trust
from idiff.utils.task_notes import TaskCommand, task_commands

if TYPE_CHECKING:
    from idiff.pipeline import Answer

MODEL = "tiny-all"
"""The model that comes with the package and was trained on every task."""


def parser(command: TaskCommand) -> WordParser:
    """Options of one of the commands."""
    files = f"{command.writes}; and a colored view" if command.writes else "the new image"
    does = f"{command.does[0].upper()}{command.does[1:]}. Writes {files}."
    options = WordParser(prog=f"idiff {command.name}", description=does)
    add = options.add_argument
    where = "a JPEG, PNG or WebP file, or a folder of them; or example:objects, one that comes with the package"
    add("images", metavar="IMAGE", nargs="+", help=where)
    if command.words:
        add("text", metavar="TEXT", help=command.words)
    add("--checkpoint", default=MODEL, metavar="CKPT", help=f"{WEIGHTS_HELP}; default: {MODEL}")
    add_asking_options(options)
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled image")
    add("--compare", action="store_true", help="also write NAME_compare.png: the image and the answer side by side")
    add("--out", default=OUT, metavar="DIR", help=f"where the files go; default: {OUT}/ in the working folder")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Answer, write the files (see `idiff.pipeline.files.answer_files`), and say where they are.

    Returns:
        the exit code: 2 where an image could not be used.

    Raises:
        IdiffError: an input that cannot be used, or the model never learnt the task.
    """
    command = task_commands()[words[0]]
    options = parser(command).parse_intermixed_args(words[1:])
    out = output_folder(options.out)

    from idiff.pipeline import Pipeline

    pipe = Pipeline(options.checkpoint, **of_pipeline(options))

    def ask(picture: str) -> Answer:
        return pipe.ask(command.name, picture, options.text if command.words else "")

    return answer_all(ask, options.images, command.name, out=out, compare=options.compare)
