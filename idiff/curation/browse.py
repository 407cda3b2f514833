"""`idiff data browse`: a sheet of samples with their label maps or joints drawn over them."""

from __future__ import annotations

import colorsys
import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from idiff.data.shards.reader import ShardSet
from idiff.types import Picture, void_of
from idiff.utils.files import write_atomic
from idiff.utils.masks import decode_mask
from idiff.utils.seeds import hash64

if TYPE_CHECKING:
    from idiff.types import Sample

COLUMNS, CELL, CAPTION, LINE = 6, 200, 14, 12
_TINT = np.array([170, 0, 170])


def browse(shards: ShardSet, out: Path, *, count: int = 24, seed: int = 0) -> list[str]:
    """Write a contact sheet as PNG.

    Args:
        shards: the set.
        out: the file.
        count: how many samples, drawn without replacement.
        seed: of the choice.

    Returns:
        The keys on the sheet, row by row.

    Raises:
        BadSampleError: a chosen sample cannot be read.
        DataError: the file cannot be written.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(shards))[:count])
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (min(len(chosen), COLUMNS) * CELL, rows * (CELL + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    keys = []
    for place, index in enumerate(chosen):
        sample = shards.read(int(index))
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + CAPTION)
        cell = _draw_sample(sample)
        _write_phrase(cell, sample)
        sheet.paste(cell, (left + (CELL - cell.width) // 2, top + CAPTION + (CELL - cell.height) // 2))
        draw.text((left + 2, top + 1), f"{sample.key} {sample.image.shape[1]}x{sample.image.shape[0]}"[:32], "black")
        lines = textwrap.wrap(str(sample.annotation.get("instruction", "")), 32)
        for line, words in enumerate(lines[: (CELL - cell.height) // 2 // LINE]):
            draw.text((left + 2, top + CAPTION + line * LINE), words, "black")
        keys.append(sample.key)
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    write_atomic(out, stream.getvalue())
    return keys


def _draw_sample(sample: Sample) -> Image.Image:
    """One cell: the image (beside it the target and the maps) scaled to fit, then labels or joints drawn in the cell's pixels."""
    picture = sample.image
    if sample.label is not None:
        shown = sample.label != void_of(sample.label)
        if "background" in list(sample.meta.get("classes", []))[:1]:
            shown &= sample.label != 0
        painted = _class_colours()[sample.label & 255]
        picture = np.where(shown[..., None], picture // 2 + painted // 2, picture).astype(np.uint8)
    phrase = _phrase(sample)
    for index in phrase["instances"] if phrase else ():
        mask = decode_mask(sample.annotation["instances"][index]["mask"])
        picture = np.where(mask[..., None], picture // 3 + _TINT, picture).astype(np.uint8)
    beside = [] if sample.target is None else [sample.target]
    picture = np.concatenate([picture, *beside, *map(gray, sample.maps.values())], axis=1)
    height, width = picture.shape[:2]
    scale = (CELL - 4) / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    resample = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    cell = Image.fromarray(picture).resize(size, resample)
    draw = ImageDraw.Draw(cell)
    for instance in sample.annotation.get("instances", []):
        points = instance.get("keypoints", [])
        for joint, (x, y, visibility) in enumerate(points):
            if visibility:
                centre = ((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5)
                color = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(joint / len(points), 1, 1))
                draw.circle(
                    centre, 3, fill=color if visibility == 2 else None, outline=color if visibility == 1 else "black"
                )
    return cell


def gray(values: NDArray[Any]) -> Picture:
    """A map for people to look at: its lowest value black, its highest white, channels averaged, what is not finite black.

    Args:
        values: (H, W) or (H, W, C), numbers of any type.

    Returns:
        uint8 (H, W, 3).
    """
    flat = values.astype(np.float64).reshape(*values.shape[:2], -1).mean(axis=2)
    finite = np.isfinite(flat)
    low, high = (flat[finite].min(), flat[finite].max()) if finite.any() else (0.0, 0.0)
    share = np.where(finite, flat - low, 0.0) / ((high - low) or 1.0)
    return np.repeat((255 * share).round().astype(np.uint8)[..., None], 3, axis=2)


def _phrase(sample: Sample) -> dict[str, Any] | None:
    """The phrase that the sheet shows, chosen by the key, of samples whose phrases name masks; None for others."""
    phrases: list[dict[str, Any]] = sample.annotation.get("phrases", [])
    masks = [instance.get("mask") for instance in sample.annotation.get("instances", [])]
    return phrases[hash64("browse", sample.key) % len(phrases)] if phrases and all(masks) else None


def _write_phrase(cell: Image.Image, sample: Sample) -> None:
    """Write the shown phrase on the lower edge of a cell."""
    phrase = _phrase(sample)
    lines = textwrap.wrap(phrase["text"], 32)[:3] if phrase else []
    draw = ImageDraw.Draw(cell)
    for line, words in enumerate(reversed(lines), start=1):
        place = (2, cell.height - 2 - line * LINE)
        draw.rectangle(draw.textbbox(place, words), fill="white")
        draw.text(place, words, "black")


def _class_colours() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """A color for each label value, uint8 (256, 3); neighbouring values look different."""
    golden = 0.618034
    return (
        np.array([colorsys.hsv_to_rgb(value * golden % 1, 0.9, 1.0) for value in range(256)]).dot(255).astype(np.uint8)
    )
