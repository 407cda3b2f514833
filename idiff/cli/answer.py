"""`idiff segment | keypoints | edit | restore`: ask a model about one image."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from idiff.cli.arguments import WEIGHTS_HELP, WordParser
from idiff.cli.asking import add_asking_options, of_pipeline
from idiff.cli.own_code import add_trust
from idiff.errors import ConfigError

ASKS = {
    "segment": ("find what a phrase names and tint it", 'a phrase, such as "the red star"'),
    "keypoints": ("find joints of the person that fills the image", 'joints, such as "left hand, right hand"'),
    "edit": ("change the image as a sentence says", 'a sentence, such as "Make the red star blue."'),
    "restore": ("take noise, blur or a watermark out", "denoise, deblur or dewatermark"),
}


PICTURES = ("edit", "restore")
"""Commands that answer with a new image."""


def parser(command: str) -> WordParser:
    """Options of one of the commands."""
    does, text = ASKS[command]
    options = WordParser(prog=f"idiff {command}", description=f"{does.capitalize()}.")
    add = options.add_argument
    add("image", metavar="IMAGE", help="a JPEG, PNG or WebP file; or example:objects, one that comes with the package")
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
    add("--out", default=".", metavar="DIR", help="where the files go; default: the working folder")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Answer, write the files, and say where they are.

    `NAME_segment.png` shows the answer at the size of the image; beside it lie `NAME_segment_mask.png` (0 and 255) or
    `NAME_keypoints.json` (COCO's results format). Images are PNG whatever was read: JPEG would smear what is painted.

    Raises:
        IdiffError: an input that cannot be used.
    """
    command = words[0]
    options = parser(command).parse_args(words[1:])
    ways, out = _ways(command, options), Path(options.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be made: {error.strerror}. Name another folder.") from None
    if not os.access(out, os.W_OK):
        raise ConfigError(f"--out {out} cannot be written. Name another folder.")

    from transformers.utils.logging import disable_progress_bar

    from idiff.pipeline import Pipeline, to_coco
    from idiff.utils.images import write_png

    disable_progress_bar()  # stderr is for the one sentence that says what is wrong
    pipe = Pipeline(options.checkpoint, **of_pipeline(options))
    answer = getattr(pipe, command)(options.image, options.text, **ways)
    name = f"{Path(options.image.removeprefix('example:')).stem}_{command}"
    written = [write_png(answer.overlay, out, name)]
    if answer.mask is not None:
        written.append(write_png(answer.mask, out, f"{name}_mask"))
    if answer.keypoints is not None:
        written.append(file := written[0].with_suffix(".json"))
        file.write_text(json.dumps(to_coco(answer, image_id=0), indent=1) + "\n", encoding="utf-8")
    lines = [f"score {answer.score:.2f}", *[f"wrote {path}" for path in written]]
    if answer.mask is not None and not answer.mask.any():
        lines.insert(0, f"nothing in the image fits '{options.text}'")
    for joint, (x, y, score) in (answer.keypoints or {}).items():
        lines.insert(-len(written) - 1, f"{joint}: x {x:.1f}, y {y:.1f}, score {score:.2f}")
    print("\n".join(lines))  # noqa: T201
    if answer.notice:
        sys.stderr.write(f"idiff: {answer.notice}\n")
    return 0


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
