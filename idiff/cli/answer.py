"""`idiff segment | keypoints | edit | restore`: ask a model about one image or several."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from idiff.cli.answer_all import answer_all, output_folder
from idiff.cli.arguments import WEIGHTS_HELP, WordParser
from idiff.cli.asking import add_asking_options, of_pipeline
from idiff.cli.own_code import add_trust
from idiff.errors import ConfigError
from idiff.utils.imports import without

if TYPE_CHECKING:
    from idiff.pipeline import Answer

ASKS = {
    "segment": ("find what a phrase names and tint it", 'a phrase, such as "the red star"'),
    "keypoints": ("find joints of the person that fills the image", 'joints, such as "left hand, right hand"'),
    "edit": ("change the image as a sentence says", 'a sentence, such as "Make the red star blue."'),
    "restore": ("take noise, blur or a watermark out", "denoise, deblur or dewatermark"),
}

OUT = "answers"
"""Where the files go."""

PICTURES = ("edit", "restore")
"""Commands that answer with a new image."""


def parser(command: str) -> WordParser:
    """Options of one of the commands."""
    does, text = ASKS[command]
    options = WordParser(prog=f"idiff {command}", description=f"{does[0].upper()}{does[1:]}.")
    add = options.add_argument
    where = "a JPEG, PNG or WebP file, or a folder of them; or example:objects, one that comes with the package"
    add("images", metavar="IMAGE", nargs="+", help=where)
    add("text", metavar="TEXT", help=text)
    add(
        "--checkpoint",
        default="tiny",
        metavar="CKPT",
        help=WEIGHTS_HELP + "; default: tiny",
    )
    add_asking_options(options)
    add("--seed", type=int, default=0, metavar="N", help="seed of the sampled image")
    if command == "edit":
        add("--paste-back", action="store_true", help="what the edit left alone is taken from the image, to the bit")
        text = "what changed by fewer gray levels was left alone; default: 20"
        add("--threshold", type=float, metavar="LEVELS", help=f"with --paste-back: {text}")
    if command in PICTURES:
        ways = options.add_mutually_exclusive_group()
        tile = "work in overlapping tiles of the model's size, without shrinking"
        ways.add_argument("--tile", action="store_true", help=tile + ("; the default" if command == "restore" else ""))
        ways.add_argument(
            "--native", action="store_true", help="work on the whole image at its own size, at most 1 megapixel"
        )
    add("--compare", action="store_true", help="also write NAME_compare.png: the image and the answer side by side")
    add("--out", default=OUT, metavar="DIR", help=f"where the files go; default: {OUT}/ in the working folder")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Answer, write the files (see `idiff.pipeline.files.answer_files`), and say where they are.

    Of several images, one that cannot be used is named on stderr, and the others are answered.

    Returns:
        the exit code: 2 where an image could not be used.

    Raises:
        IdiffError: an input that cannot be used.
    """
    command = words[0]
    options = parser(command).parse_intermixed_args(words[1:])
    ways, out = _ways(command, options), output_folder(options.out)

    with without(*_unused(options)):
        from idiff.pipeline import Pipeline

    pipe = Pipeline(options.checkpoint, **of_pipeline(options))

    def ask(picture: str) -> Answer:
        answer: Answer = getattr(pipe, command)(picture, options.text, **ways)
        return answer

    return answer_all(ask, options.images, command, out=out, compare=options.compare)


def _unused(options: argparse.Namespace) -> list[str]:
    """Packages that diffusers and transformers load where they are installed, and answering does not use.

    A training checkpoint may hold adapters, which are peft's. Code of others may use anything.
    """
    if options.trust or "." in (options.sampler or ""):
        return []
    return ["scipy"] if options.checkpoint.endswith(".ckpt") else ["scipy", "peft"]


def _ways(command: str, options: argparse.Namespace) -> dict[str, Any]:
    """How a new image is to be made, as arguments of the pipeline.

    Raises:
        ConfigError: a threshold without `--paste-back`.
    """
    if command not in PICTURES:
        return {}
    ways: dict[str, Any] = {"tile": options.tile, "native": options.native}
    if command == "edit":
        if options.threshold is not None and not options.paste_back:
            raise ConfigError("--threshold says what is pasted back, and nothing is: give --paste-back as well.")
        ways["keep_unedited"] = options.paste_back
        ways |= {} if options.threshold is None else {"threshold": options.threshold}
    return ways
