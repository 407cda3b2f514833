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
    from idiff.data.latent_cache.writer import build_cache
    from idiff.data.loading.dataset import Part
    from idiff.data.shards.reader import ShardSet
    from idiff.models.io.checkpoint import load
    from idiff.models.latent_encoder import FrozenEncoder
    from idiff.tasks.saved import restore_task

    if arguments.views < 1:
        raise ConfigError(f"--views is {arguments.views}: expected 1 or more")
    config = compose(arguments.config)
    if "task" in config:  # a task's own file
        config = {"data": {"init_args": {"tasks": {arguments.task or "task": config}}}}
    entries = ((config.get("data") or {}).get("init_args") or {}).get("tasks")
    if not isinstance(entries, dict) or not entries:
        raise ConfigError(
            f"{arguments.config[-1]} names no task: expected a task's YAML, or an experiment with data.init_args.tasks"
        )
    sets = _sets(entries, folder=arguments.folder, task=arguments.task)
    encoder = FrozenEncoder(load(arguments.model).backbone, device=arguments.device)
    out = Path(arguments.out)
    with Progress(console=Console(stderr=True)) as shown:
        for name, folder in sets.items():
            task = restore_task(config, name, data=folder, changes={}).task
            line = shown.add_task(name)
            manifest = build_cache(
                Part(name, task, ShardSet.open(folder)), out / name, encoder=encoder, views=arguments.views, seed=arguments.seed,
                workers=arguments.workers, progress=partial(_show, shown, line),
            )  # fmt: skip
            shown.console.print(f"{name}: {manifest.rows:,} rows, {manifest.views} of each of {manifest.items:,} items")
    return 0


def _show(shown: Progress, line: TaskID, done: int, total: int) -> None:
    shown.update(line, completed=done, total=total)


def _sets(entries: dict[str, dict[str, object]], *, folder: str | None, task: str | None) -> dict[str, str]:
    """Task name -> shards.

    Raises:
        ConfigError: no task reads the shards, or no task has any.
    """
    trained = {name: str(entry["train"]) for name, entry in entries.items() if entry.get("train")}
    if task is not None and task not in entries:
        raise ConfigError(f"--task '{task}' is not in the configuration, which has: {', '.join(entries)}")
    if folder is None:
        chosen = {name: place for name, place in trained.items() if task in {None, name}}
        if not chosen:
            raise ConfigError("no task of the configuration has training shards: name their folder, or set `train`")
        return chosen
    if task is not None:
        return {task: folder}
    found = [name for name, place in trained.items() if Path(place).resolve() == Path(folder).resolve()]
    found = found or (list(entries) if len(entries) == 1 else [])
    if len(found) != 1:
        raise ConfigError(
            f"{len(found)} tasks of the configuration train on {folder}: name one with --task ({', '.join(entries)})"
        )
    return {found[0]: folder}
