"""Options that every command has which asks a model: where it runs, and how its images are sampled."""

from __future__ import annotations

import argparse
from typing import Any

from idiff.cli.arguments import WordParser, at_least_one

NAMES = ("steps", "sampler", "guidance_text", "guidance_image", "size", "preset")
"""The options that `idiff.tasks.asking.Asking` takes."""


def add_asking_options(parser: WordParser) -> None:
    """Add the options; what is not given stays as the model has it."""
    add = parser.add_argument
    devices = "where the network runs: auto (the GPU where there is one), cpu, cuda, cuda:1, mps; default: auto"
    add("--device", default="auto", metavar="NAME", help=devices)
    add("--dtype", metavar="NAME", help="type of the weights: float32, bfloat16 or float16; default: float32")
    presets = (
        "paper or quick: published settings; stored: of `idiff tune --store`; training; default: stored, else training"
    )
    add("--preset", metavar="NAME", help=presets)
    add(
        "--sampler",
        metavar="NAME",
        help="ddim, euler, euler_ancestral, dpmpp_2m or MODULE.FUNCTION; default: the preset's",
    )
    add("--steps", type=at_least_one, metavar="N", help="sampling steps; default: the preset's")
    add("--guidance-text", type=float, metavar="X", help="guidance scale of the words; default: the preset's")
    add("--guidance-image", type=float, metavar="X", help="guidance scale of the image; default: the preset's")
    size = "side of the image that the model sees, in pixels (frame native64: the longer side); default: as in training"
    add("--size", type=at_least_one, metavar="N", help=size)


def asked(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, as arguments of `Asking`."""
    return {name: getattr(options, name) for name in NAMES}


def of_pipeline(options: argparse.Namespace) -> dict[str, Any]:
    """All that a command was told about asking a model, as arguments of `Pipeline`."""
    return {name: getattr(options, name) for name in (*NAMES, "seed", "device", "dtype", "trust")}
