"""`idiff export`: a checkpoint as a folder of safetensors, for use and for going on elsewhere."""

from __future__ import annotations

import sys

from idiff.cli.arguments import WordParser


def parser() -> WordParser:
    """Options of `idiff export`."""
    options = WordParser(prog="idiff export", description=__doc__)
    add = options.add_argument
    add(
        "--checkpoint",
        required=True,
        metavar="CKPT",
        help="a .ckpt file, an exported folder, or a pretrained model's name",
    )
    add("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    add(
        "--format",
        choices=("safetensors", "diffusers"),
        default="safetensors",
        help="safetensors: this project's folder, float16; diffusers: a pipeline for diffusers' from_pretrained, float32",
    )
    return options


def run(words: list[str]) -> int:
    """Export a checkpoint with its averaged weights.

    Raises:
        IdiffError: a checkpoint or folder that cannot be used, or a model that diffusers' pipelines cannot run.
    """
    options = parser().parse_args(words)
    from idiff.models.io.checkpoint import load
    from idiff.models.io.export import write_folder, write_pipeline

    loaded = load(options.checkpoint)
    if options.format == "diffusers":
        folder = write_pipeline(loaded.backbone, options.out)
    else:
        folder = write_folder(
            loaded.backbone, options.out, config=loaded.config, step=loaded.step, ood_score=loaded.ood_score,
            presets=loaded.presets,
        )  # fmt: skip
    sys.stderr.write(f"idiff: {loaded.name}, step {loaded.step:,}, written to {folder}\n")
    return 0
