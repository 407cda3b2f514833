"""`idiff export`: write a checkpoint as a folder of safetensors, as a diffusers pipeline, or as one CompVis file."""

from __future__ import annotations

import sys

from idiff.cli.arguments import WEIGHTS_HELP, WordParser

HALF = {"safetensors": True, "diffusers": False, "compvis": False}
"""Format -> whether weights are float16 where --dtype does not say."""


def parser() -> WordParser:
    """Options of `idiff export`."""
    options = WordParser(prog="idiff export", description=__doc__)
    add = options.add_argument
    add(
        "--checkpoint",
        required=True,
        metavar="CKPT",
        help=WEIGHTS_HELP,
    )
    add("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    add(
        "--format",
        choices=tuple(HALF),
        default="safetensors",
        help="safetensors: this project's folder; diffusers: the same with a pipeline that diffusers loads; "
        "compvis: model.ckpt with CompVis names, as the authors read it",
    )
    add(
        "--dtype",
        choices=("float16", "float32"),
        help="type of the weights; default: float16 for safetensors, float32 otherwise",
    )
    return options


def run(words: list[str]) -> int:
    """Export a checkpoint with its averaged weights.

    Raises:
        IdiffError: a checkpoint or folder that cannot be used, or a model that a CompVis file cannot hold.
    """
    options = parser().parse_args(words)
    from idiff.models.io.checkpoint import load
    from idiff.models.io.compvis_export import write_compvis
    from idiff.models.io.export import write_folder
    from idiff.models.io.model_card import model_card
    from idiff.models.io.pipeline_export import write_pipeline
    from idiff.tasks.saved import described_samplings

    loaded = load(options.checkpoint)
    half = HALF[options.format] if options.dtype is None else options.dtype == "float16"
    tasks = described_samplings(loaded.config, loaded.presets)
    tasks = dict(
        sorted(tasks.items(), key=lambda item: item[1].kind != "editing")
    )  # what holds where no task is named comes first
    samplings = {name: each.sampling for name, each in tasks.items()}
    card = model_card(
        loaded.backbone, name=loaded.name, sha256=loaded.sha256, step=loaded.step, kind=options.format, samplings=samplings,
        folder=options.out,
    )  # fmt: skip
    if options.format == "compvis":
        folder = write_compvis(loaded.backbone, options.out, step=loaded.step, half=half, card=card)
    elif options.format == "diffusers":
        folder = write_pipeline(
            loaded.backbone, options.out, config=loaded.config, step=loaded.step, half=half, ood_score=loaded.ood_score,
            presets=loaded.presets, samplings=samplings, card=card,
            sizes={name: each.size for name, each in tasks.items() if each.size is not None},
        )  # fmt: skip
    else:
        folder = write_folder(
            loaded.backbone, options.out, config=loaded.config, step=loaded.step, half=half, ood_score=loaded.ood_score,
            presets=loaded.presets, card=card,
        )  # fmt: skip
    sys.stderr.write(f"idiff: {loaded.name}, step {loaded.step:,}, written to {folder}\n")
    return 0
