"""What a training reads: its sets and their shares, and a sheet of examples as the model sees them."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

from idiff.data.loading.mixture import Stream
from idiff.data.loading.training import TaskEntry, open_evaluation, open_training
from idiff.errors import DataError
from idiff.types import Triplet
from idiff.utils.files import write_atomic
from idiff.utils.images import to_picture

CELL, CAPTION, COLUMNS = 128, 26, 4


@dataclass(frozen=True, slots=True)
class SetPlan:
    """One training set.

    Attributes:
        name: of the task. folder: where it lies. samples: images. items: what the task asks for.
        draws: examples of an epoch. share: of the epoch, in [0, 1]. funnel: step of its build -> images left after it.
    """

    name: str
    folder: str
    samples: int
    items: int
    draws: int
    share: float
    funnel: Mapping[str, int]


def plan_sets(entries: Mapping[str, TaskEntry], *, seed: int) -> list[SetPlan]:
    """The training sets of a mixture that is read by index.

    Raises:
        DataError: a folder is missing, damaged or without items.
    """
    parts = open_evaluation(entries, "train")
    if not parts:
        return []
    known = {part.name: part for part in parts}
    chosen = {name: entry for name, entry in entries.items() if name in known}
    weights = [entry.weight if entry.rows is None else entry.rows / len(known[name]) for name, entry in chosen.items()]
    stream = Stream([len(known[name]) for name in chosen], weights, seed=seed)
    return [
        SetPlan(
            name=name, folder=str(known[name].shards.folder), samples=len(known[name].shards), items=len(known[name]), draws=draws,
            share=share, funnel=dict(known[name].shards.manifest.funnel),
        )
        for name, draws, share in zip(chosen, stream.draws, stream.shares(), strict=True)
    ]  # fmt: skip


def write_examples(entries: Mapping[str, TaskEntry], out: Path, *, count: int = 16, seed: int = 0) -> list[str]:
    """Write a sheet of training examples as PNG: source and target as the model sees them, over the instruction.

    Args:
        entries: the mixture; examples are drawn by its shares.
        out: the file; its folder is made.
        count: how many.
        seed: of order and augmentation, as in the training.

    Returns:
        their instructions.

    Raises:
        DataError: nothing can be read, or the file cannot be written.
    """
    examples = _examples(entries, count=count, seed=seed)
    if not examples:
        raise DataError("no training set is read by index: there is no example to show. Set a task's `train`.")
    rows = -(-len(examples) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * 2 * CELL, rows * (CELL + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, triplet in enumerate(examples):
        left, top = place % COLUMNS * 2 * CELL, place // COLUMNS * (CELL + CAPTION)
        for side, image in enumerate([triplet.source, triplet.target]):
            if image is not None:
                sheet.paste(_cell(image), (left + side * CELL, top))
        for line, words in enumerate(textwrap.wrap(triplet.instruction, 40)[:2]):
            draw.text((left + 2, top + CELL + 12 * line), words, "black")
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{out.parent} cannot be made: {error.strerror}. Set trainer.default_root_dir.") from None
    write_atomic(out, stream.getvalue())
    return [triplet.instruction for triplet in examples]


def _cell(image: Tensor) -> Image.Image:
    return Image.fromarray(to_picture(image)).resize((CELL, CELL), Image.Resampling.LANCZOS)


def _examples(entries: Mapping[str, TaskEntry], *, count: int, seed: int) -> Sequence[Triplet]:
    opened = open_training(entries, seed=seed, epoch_samples=None)
    dataset: Any = opened.dataset(None, 0.5)  # type: ignore[arg-type]  # the order is what a loader needs, and there is none
    return [dataset[position].triplet for position in range(min(count, opened.examples))]
