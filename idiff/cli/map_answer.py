"""`idiff depth | normals`: a number or a vector at every pixel of one image or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idiff.cli.answer import OUT
from idiff.cli.answer_all import answer_all, output_folder
from idiff.cli.arguments import WEIGHTS_HELP, WordParser
from idiff.cli.asking import add_asking_options, of_pipeline
from idiff.cli.own_code import add_trust

if TYPE_CHECKING:
    from idiff.pipeline import Answer

DOES = {
    "depth": "estimate depth: NAME_depth.png, 16 bits, in millimeters",
    "normals": "estimate surface normals: NAME_normals.png, 16 bits, (n + 1) / 2, x right, y up, z to the viewer",
}


def parser(command: str) -> WordParser:
    """Options of one of the commands."""
    does = DOES[command]
    options = WordParser(
        prog=f"idiff {command}", description=f"{does[0].upper()}{does[1:]}; and NAME.png, a colored view."
    )
    add = options.add_argument
    where = "a JPEG, PNG or WebP file, or a folder of them; or example:objects, one that comes with the package"
    add("images", metavar="IMAGE", nargs="+", help=where)
    add(
        "--checkpoint",
        default="tiny",
        metavar="CKPT",
        help=WEIGHTS_HELP + "; default: tiny, which was not trained on it",
    )
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
    command = words[0]
    options = parser(command).parse_args(words[1:])
    out = output_folder(options.out)

    from idiff.pipeline import Pipeline

    pipe = Pipeline(options.checkpoint, **of_pipeline(options))

    def ask(picture: str) -> Answer:
        answer: Answer = getattr(pipe, command)(picture)
        return answer

    return answer_all(ask, options.images, command, out=out, compare=options.compare)
