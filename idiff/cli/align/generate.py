"""`idiff align generate`: candidates of edits, for people to choose from. Its help loads neither torch nor Lightning."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from idiff.cli.arguments import WEIGHTS_HELP, WordParser, at_least_one, scales
from idiff.cli.bar import progress
from idiff.cli.own_code import add_trust
from idiff.errors import ConfigError

if TYPE_CHECKING:
    from idiff.models.backbone import LatentDiffusion

CANDIDATES = 20


def parser() -> WordParser:
    """Options of `idiff align generate`."""
    options = WordParser(
        prog="idiff align generate",
        description="Paint each prompt of a set several times under a grid of guidance settings. Killed, the same command goes on.",
    )
    add = options.add_argument
    add("--checkpoint", required=True, metavar="CKPT", help=WEIGHTS_HELP)
    add("--data", required=True, metavar="DIR", help="shards that `idiff data build` wrote")
    add("--out", required=True, metavar="DIR", help="the folder of candidates, new or of the same settings")
    add(
        "--task", metavar="NAME", help="a task of the training by its name, or a kind; default: what the shards are for"
    )
    add("--candidates", type=at_least_one, default=CANDIDATES, metavar="N", help=f"images a prompt ({CANDIDATES})")
    add("--limit", type=at_least_one, metavar="N", help="images sampled, spread evenly; default: all")
    add("--seed", type=int, default=0, metavar="N", help="of the candidates' noise (0)")
    add("--steps", type=at_least_one, metavar="N", help="sampling steps; default: the task's")
    add("--text", type=scales, metavar="LIST", help="text scales, such as 0.5,1,2; default: five around the preset")
    add("--image", type=scales, metavar="LIST", help="image scales; default: four around the preset")
    add(
        "--sampler",
        metavar="NAME",
        help="ddim, euler, euler_ancestral, dpmpp_2m or MODULE.FUNCTION; default: the task's",
    )
    add("--device", default="cpu", metavar="NAME", help="where the network runs (cpu)")
    add_trust(options)
    return options


def run(words: list[str]) -> int:
    """Paint candidates; what is there already is left as it is.

    Returns:
        0; 1 where some samples could not be used: they are named on stderr, the others are done.

    Raises:
        IdiffError: an input that cannot be used, before anything is painted.
    """
    options = parser().parse_args(words)

    import torch
    from transformers.utils.logging import disable_progress_bar

    from idiff.alignment.candidates import CandidateFolder
    from idiff.alignment.generate import generate
    from idiff.alignment.prepare import prepare
    from idiff.data.shards.reader import ShardSet
    from idiff.models.io.checkpoint import load
    from idiff.tasks.saved import restore_task

    disable_progress_bar()  # stderr is for what went wrong, and for how far it is
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    loaded = load(options.checkpoint)
    shards = ShardSet.open(options.data)
    choice = restore_task(loaded.config, options.task, data=options.data, changes={}, trust=options.trust)
    prepared = prepare(
        loaded, choice, shards, data=options.data, candidates=options.candidates, seed=options.seed, limit=options.limit,
        text=options.text, image=options.image, steps=options.steps, sampler=options.sampler,
    )  # fmt: skip
    backbone = _on_device(loaded.backbone, options.device)
    began = time.perf_counter()
    with CandidateFolder.begin(options.out, prepared.described) as folder, progress("samples") as show:
        before = len(folder.samples())
        bad = list(
            generate(
                folder, backbone, choice.task, shards, places=prepared.places, settings=prepared.settings,
                seed=options.seed, progress=show,
            )
        )  # fmt: skip
        painted = len(folder.samples()) - before
    for sentence in bad:
        sys.stderr.write(f"idiff: left out: {sentence}\n")
    taken = time.perf_counter() - began
    each = f", {taken / painted / options.candidates:.3f} s a candidate" if painted else ""
    there = f", {before:,} were there" if before else ""
    sys.stdout.write(
        f"{options.out}: {painted:,} samples of {options.candidates} candidates painted in {taken:.1f} s{each}{there}\n"
    )
    return 1 if bad else 0


def _on_device(backbone: LatentDiffusion, name: str) -> LatentDiffusion:
    """The model on a device.

    Raises:
        ConfigError: there is no such device.
    """
    try:
        return backbone.to(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from None
