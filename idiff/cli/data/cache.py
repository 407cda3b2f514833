"""`idiff data cache`: draw views of training sets, encode them once, and train from that."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from idiff.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add = parser.add_argument
    add("folder", metavar="DIR", nargs="?", help="training shards; left out: those of every task of the configuration")
    add(
        "--config",
        metavar="TASKS",
        action="append",
        required=True,
        help="YAML with the tasks; later ones go over earlier ones",
    )
    add("--task", metavar="NAME", help="which task of the configuration reads DIR, where several could")
    add("--model", metavar="CKPT", required=True, help="whose autoencoder and text encoder encode")
    add("--views", metavar="K", type=int, default=1, help="views drawn of each item (1)")
    add("--seed", metavar="N", type=int, default=0, help="of the drawing (0)")
    add("--out", metavar="DIR", required=True, help="folder of the caches: one folder a task in it")
    add("--workers", metavar="N", type=int, default=0, help="processes that draw (0: this one)")
    add("--device", metavar="NAME", default="cpu", help="where to encode, such as cuda (cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Write the caches.

    Raises:
        IdiffError: an input that cannot be used.
    """
    from rich.console import Console
    from rich.progress import Progress

    from idiff.config.compose import compose
    from idiff.config.entries import entries_of
    from idiff.data.latent_cache.training_sets import training_sets
    from idiff.data.latent_cache.writer import build_cache
    from idiff.data.loading.dataset import Part
    from idiff.data.shards.reader import ShardSet
    from idiff.models.io.checkpoint import load
    from idiff.models.latent_encoder import FrozenEncoder

    if arguments.views < 1:
        raise ConfigError(f"--views is {arguments.views}: expected 1 or more")
    config = compose(arguments.config)
    if "task" in config:  # a task's own file
        config = {"data": {"init_args": {"tasks": {arguments.task or "task": config}}}}
    entries = entries_of(config.get("data"), origin=arguments.config[-1], files=arguments.config)
    sets = training_sets(entries, folder=arguments.folder, task=arguments.task)
    encoder = FrozenEncoder(load(arguments.model).backbone, device=arguments.device)
    out = Path(arguments.out)
    with Progress(console=Console(stderr=True)) as shown:
        for name, folder in sets.items():
            line = shown.add_task(name)
            part = Part(name, entries[name].task, ShardSet.open(folder))
            manifest = build_cache(
                part, out / name, encoder=encoder, views=arguments.views, seed=arguments.seed, workers=arguments.workers,
                progress=partial(_show, shown, line),
            )  # fmt: skip
            shown.console.print(f"{name}: {manifest.rows:,} rows, {manifest.views} of each of {manifest.items:,} items")
    return 0


def _show(shown: Progress, line: TaskID, done: int, total: int) -> None:
    shown.update(line, completed=done, total=total)
