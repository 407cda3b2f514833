"""`idiff data browse`: a sheet of samples with what is known of them, and what the model sees of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

import idiff.tasks
from idiff.curation.drawn_facts import Rgb, draw_facts, legend_of, phrase_of
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError
from idiff.tasks.base import Task
from idiff.tasks.example_pair import ExamplePair
from idiff.utils.files import write_atomic
from idiff.utils.images import to_picture
from idiff.utils.lettering import font, wrapped
from idiff.utils.seeds import hash64, numpy_rng

if TYPE_CHECKING:
    from idiff.types import Picture, Sample

COLUMNS, PANEL, GAP, LETTERS, LINE = 6, 240, 6, 13, 17
"""Images in a row of the sheet; their side, the space between them, and the height of letters and of a line, in pixels."""


def browse(shards: ShardSet, out: Path, *, count: int = 24, seed: int = 0, task: Task | None = None) -> list[str]:
    """Write a contact sheet as PNG.

    A sample is its image with what is known of it; beside it, where the task is known, an example as the model is trained on it:
    the source with its augmentation, the painted target, and the sentence below.

    Args:
        shards: the set.
        out: the file.
        count: how many samples, drawn without replacement.
        seed: of the choice, and of the examples.
        task: draws the examples; None: the task of this package that the set is for, if any.

    Returns:
        The keys on the sheet, row by row.

    Raises:
        BadSampleError: a chosen sample cannot be read.
        DataError: the file cannot be written.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(shards))[:count])
    samples = [shards.read(int(index)) for index in chosen]
    task = builtin_task(shards.manifest.tasks[0]) if task is None else task
    if isinstance(task, ExamplePair):
        for one in samples:
            one.examples = [(other, 0) for other in samples if other is not one and _items(other, task)]
    cells = [_cell(sample, task, seed) for sample in samples]
    width = max(cell.width for cell in cells)
    across = max(min(COLUMNS * (PANEL + GAP) // width, len(cells)), 1)
    rows = [cells[begin : begin + across] for begin in range(0, len(cells), across)]
    legend = _legend(legend_of(samples), across * width)
    height = sum(max(cell.height for cell in row) for row in rows) + (legend.height if legend else 0)
    sheet, top = Image.new("RGB", (across * width, height), "white"), 0
    for row in rows:
        for place, cell in enumerate(row):
            sheet.paste(cell, (place * width, top))
        top += max(cell.height for cell in row)
    if legend:
        sheet.paste(legend, (0, top))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_atomic(out, stream.getvalue())
    return [sample.key for sample in samples]


def builtin_task(kind: str) -> Task | None:
    """The task of this package of a kind, with its own defaults; None where there is none."""
    known = (getattr(idiff.tasks, name) for name in idiff.tasks.__all__ if name != "Task")
    found = next((each for each in known if each.kind == kind), None)
    return None if found is None else found()


def _cell(sample: Sample, task: Task | None, seed: int) -> Image.Image:
    """One sample: key and size, panels, sentences."""
    words: list[str] = []
    panels = [draw_facts(sample, PANEL)]
    if task is not None:
        pictures, words = _seen(sample, task, seed)
        panels += [Image.fromarray(one).resize((PANEL, PANEL), Image.Resampling.NEAREST) for one in pictures]
        panels += [Image.new("RGB", (PANEL, PANEL), "white")] * (3 - len(panels))
    told = phrase_of(sample)
    given = told["text"] if told else str(sample.annotation.get("instruction", ""))
    if given and not any(given in text for text in words):
        words = [given, *words]
    wide = len(panels) * (PANEL + GAP)
    lines = [line for text in words for line in wrapped(text, size=LETTERS, width=wide - 2 * GAP)]
    cell = Image.new("RGB", (wide, LINE + PANEL + len(lines) * LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(cell)
    title = f"{sample.key}  {sample.image.shape[1]} x {sample.image.shape[0]}"
    draw.text((GAP, 1), wrapped(title, size=LETTERS, width=wide - GAP)[0], "black", font=font(LETTERS))
    for place, panel in enumerate(panels):
        left = place * (PANEL + GAP) + GAP // 2
        cell.paste(panel, (left + (PANEL - panel.width) // 2, LINE + (PANEL - panel.height) // 2))
    for number, line in enumerate(lines):
        draw.text((GAP, LINE + PANEL + GAP // 2 + number * LINE), line, "black", font=font(LETTERS))
    return cell


def _seen(sample: Sample, task: Task, seed: int) -> tuple[list[Picture], list[str]]:
    """The source and target of a training example and its sentence; of a sample that gives none, why."""
    items = _items(sample, task)
    if not items:
        return [], [f"nothing to ask: no {task.unit}"]
    try:
        item = hash64("browse", sample.key) % items
        triplet = task.encode(sample, item, numpy_rng(seed, "browse", sample.key), train=True)
    except BadSampleError as error:
        return [], [f"{task.kind} cannot use it: {error.field}: {error.reason}"]
    pictures = [to_picture(one) for one in (triplet.source, triplet.target) if one is not None]
    return pictures, [triplet.instruction]


def _items(sample: Sample, task: Task) -> int:
    return 1 if task.unit == "picture" else len(sample.annotation.get(task.unit, []))


def _legend(colors: dict[str, Rgb], width: int) -> Image.Image | None:
    """Names beside their colors, in as many lines as it takes; None where nothing has one."""
    if not colors:
        return None
    letters, left, top = font(LETTERS), GAP, GAP
    places: list[tuple[int, int, str, Rgb]] = []
    for name, color in colors.items():
        wide = round(letters.getlength(name)) + LINE + 2 * GAP
        if left + wide > width and left > GAP:
            left, top = GAP, top + LINE + 2
        places.append((left, top, name, color))
        left += wide
    image = Image.new("RGB", (width, top + LINE + GAP), "white")
    draw = ImageDraw.Draw(image)
    for x, y, name, color in places:
        draw.rectangle((x, y + 2, x + LETTERS - 1, y + LETTERS + 1), fill=color, outline="black")
        draw.text((x + LINE, y), name, "black", font=letters)
    return image
