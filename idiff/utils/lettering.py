"""Words on images: more than Latin letters, lines that are wrapped and never cut, labels that can be read anywhere."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[float, float, float, float]

_INK, _HALO = (255, 255, 255), (0, 0, 0)


@cache
def font(size: int) -> Font:
    """DejaVu Sans, which matplotlib ships, in pixels; Pillow's own font where it is not there."""
    found = importlib.util.find_spec("matplotlib")  # looked up, not imported
    folders = [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
    for folder in folders:
        file = folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def wrapped(text: str, *, size: int, width: int) -> list[str]:
    """A text in lines of at most `width` pixels: broken between words, and within a word that is longer than a line."""
    letters, lines, line = font(size), [], ""
    for word in "".join(c if c.isprintable() else " " for c in text).split():
        longer = f"{line} {word}".strip()
        if letters.getlength(longer) <= width:
            line = longer
            continue
        lines += [line] if line else []
        line = word
        while letters.getlength(line) > width and len(line) > 1:
            end = next((n for n in range(len(line) - 1, 1, -1) if letters.getlength(line[:n]) <= width), 1)
            lines.append(line[:end])
            line = line[end:]
    return [*lines, line] if line else lines


def label(
    draw: ImageDraw.ImageDraw, text: str, *, at: tuple[float, float], gap: float, size: int, taken: list[Box]
) -> None:
    """Write a name beside a point: where it lies inside the image and over no other name, if there is such a place.

    Args:
        draw: of the image.
        text: one line.
        at: the point, (x, y).
        gap: pixels between the point and the name.
        size: of the letters.
        taken: where names are; this one is added.
    """
    letters, (x, y) = font(size), at
    width, height = letters.getlength(text), 1.25 * size
    most_x, most_y = draw.im.size[0] - width - 2, draw.im.size[1] - height - 2
    places = [
        (x + gap, y - height / 2), (x - gap - width, y - height / 2), (x - width / 2, y - gap - height),
        (x - width / 2, y + gap), (x + gap, y + gap), (x - gap - width, y - gap - height),
        (x + gap, y - gap - height), (x - gap - width, y + gap),
    ]  # fmt: skip
    inside = [place for place in places if 2 <= place[0] <= most_x and 2 <= place[1] <= most_y]
    free = [
        place for place in inside if not any(_meet((*place, place[0] + width, place[1] + height), box) for box in taken)
    ]
    left, top = (free or inside or [(min(max(x + gap, 2), max(most_x, 2)), min(max(y, 2), max(most_y, 2)))])[0]
    taken.append((left, top, left + width, top + height))
    draw.text((left, top), text, fill=_INK, font=letters, stroke_width=2, stroke_fill=_HALO)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
