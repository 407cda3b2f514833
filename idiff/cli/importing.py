"""`idiff import`: convert weights of Stable Diffusion 1.5, InstructPix2Pix or InstructDiffusion to a folder that idiff reads."""

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
        help="a single file (.ckpt, .safetensors, .pth), a diffusers folder, or with --hub a repository on the Hugging Face hub",
    )
    add("--out", required=True, metavar="DIR", help="a folder that does not exist yet")
    add(
        "--family",
        choices=("auto", "sd15", "instructpix2pix", "instructdiffusion"),
        default="auto",
        help="the model that the weights belong to; default: detected from input channels, file name and metadata",
    )
    add("--tokenizer", metavar="DIR", help="CLIP's tokenizer (vocab.json, merges.txt), which no single file holds")
    add(
        "--ema",
        choices=("auto", "yes", "no"),
        default="auto",
        help="read the averaged (EMA) weights; default: if the file has all of them",
    )
    add(
        "--hub",
        action="store_true",
        help="load SOURCE (OWNER/NAME or OWNER/NAME/FILE), or the tokenizer of a local file, from the Hugging Face hub",
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
