"""`idiff import`: weights of Stable Diffusion 1.5, InstructPix2Pix or InstructDiffusion as a folder of this project's."""

from __future__ import annotations

import sys
from pathlib import Path

from idiff.cli.arguments import WordParser


def parser() -> WordParser:
    """Options of `idiff import`."""
    options = WordParser(prog="idiff import", description=__doc__)
    add = options.add_argument
    add(
        "source",
        metavar="SOURCE",
        help="a single file (.ckpt, .safetensors, .pth), a folder in diffusers' layout, or with --hub a name of the hub",
    )
    add("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    add(
        "--family",
        choices=("auto", "sd15", "instructpix2pix", "instructdiffusion"),
        default="auto",
        help="what the weights were trained for; default: as input channels, name and metadata tell",
    )
    add("--tokenizer", metavar="DIR", help="CLIP's tokenizer (vocab.json, merges.txt), which no single file holds")
    add(
        "--ema",
        choices=("auto", "yes", "no"),
        default="auto",
        help="take the running averages of the weights; default: where the file holds all of them",
    )
    add(
        "--hub",
        action="store_true",
        help="load SOURCE (OWNER/NAME or OWNER/NAME/FILE), or the tokenizer of a file here, from the Hugging Face hub",
    )
    return options


def run(words: list[str]) -> int:
    """Import a model, and say what became of its keys.

    Raises:
        IdiffError: a source that cannot be used; nothing is written then.
    """
    options = parser().parse_args(words)
    from idiff.models.io.importing.importer import REPORT, import_model

    source, tokenizer = options.source, options.tokenizer
    if options.hub:
        from idiff.models.io.importing.hub import from_hub, tokenizer_from_hub

        source = Path(source) if Path(source).exists() else from_hub(source)
        if tokenizer is None and source.is_file():
            tokenizer = tokenizer_from_hub()
    made = import_model(source, options.out, family=options.family, tokenizer=tokenizer, ema=options.ema)
    for line in made.report.summary():
        sys.stderr.write(f"idiff: {line}\n")
    sys.stderr.write(f"idiff: {options.source} written to {made.folder}; {REPORT} there names every key\n")
    return 0
