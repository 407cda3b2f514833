"""An answer as people look at it: large enough, with names, scores and a legend that says what was asked."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image, ImageDraw

from idiff.pipeline.results import Answer
from idiff.types import Picture
from idiff.utils.lettering import Box, font, label, wrapped
from idiff.utils.painting import Rgb

SHOWN = 512
"""Least pixels of the longer side of a drawn answer."""

_LETTERS, _PAD = 16, 8
_LINES = 64
"""Lines of letters that fit into the longer side of a large image."""

_PAPER, _INK, _WARNING = (255, 255, 255), (20, 20, 20), (176, 32, 16)


def drawn(answer: Answer, *, compare: bool = False) -> Picture:
    """Draw an answer for people: at `SHOWN` pixels or more, with a legend below.

    Args:
        answer: what to draw. A region gets a contour and its name, a joint a dot with name and score.
        compare: what was asked about stands on the left.

    Returns:
        uint8 (H, W, 3). Where the image is smaller than `SHOWN`, its pixels are repeated.
    """
    right = marked(answer)
    parts = [enlarged(answer.picture), right] if compare else [right]
    gap = np.full((right.shape[0], _PAD, 3), 255, np.uint8)
    row = np.concatenate([part for each in parts for part in (gap, each)][1:], axis=1)
    return np.concatenate([row, _legend(answer, row.shape[1], _letters(right))])


def marked(answer: Answer) -> Picture:
    """The overlay at its drawn size, with contours, dots and names, and no legend: as large as `enlarged` makes the image."""
    scale = _scale(answer.picture)
    if answer.keypoints is not None:
        page = Image.fromarray(enlarged(answer.picture))
        _joints(page, answer, scale)
        return np.array(page)
    page_pixels = enlarged(answer.overlay)
    if answer.mask is None or not answer.mask.any():
        return page_pixels
    return _region(page_pixels, answer)


def _region(pixels: Picture, answer: Answer) -> Picture:
    """A contour around the mask, and its name in the middle of its largest part."""
    assert answer.mask is not None
    height, width = pixels.shape[:2]
    mask = cv2.resize(answer.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for color, thick in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.drawContours(pixels, contours, -1, color, thick)
    x, y, wide, high = cv2.boundingRect(max(contours, key=cv2.contourArea))
    page = Image.fromarray(pixels)
    size, score = _letters(pixels), "" if answer.score is None else f" {answer.score:.2f}"
    name = wrapped((answer.text or answer.task) + score, size=size, width=width - 2 * size)[0]
    label(ImageDraw.Draw(page), name, at=(x + wide / 2, y + high / 2), gap=high / 2 + 4, size=size, taken=[])
    return np.array(page)


def _joints(page: Image.Image, answer: Answer, scale: float) -> None:
    """A dot on each joint, its name and score beside it."""
    draw, taken = ImageDraw.Draw(page), list[Box]()
    places = {name: ((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for name, (x, y, _) in _found(answer)}
    radius, size = max(4, round(max(page.size) / 110)), max(_LETTERS, max(page.size) // _LINES) - 2
    for name, (x, y) in places.items():
        for grow, color in ((2, (0, 0, 0)), (0, answer.colors.get(name, (255, 64, 64)))):
            reach = radius + grow
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)
        taken.append((x - radius, y - radius, x + radius, y + radius))
    for name, (_, _, score) in _found(answer):
        label(draw, f"{name} {score:.2f}", at=places[name], gap=radius + 4, size=size, taken=taken)


def _found(answer: Answer) -> list[tuple[str, tuple[float, float, float]]]:
    return list((answer.keypoints or {}).items())


def _legend(answer: Answer, width: int, size: int) -> Picture:
    """White paper below: colors with names, what was asked, how sure the model is, and the notice where there is one."""
    lines = [(text, _INK) for text in wrapped(str(answer), size=size, width=width - 2 * _PAD)]
    lines += [(text, _WARNING) for text in wrapped(answer.notice or "", size=size, width=width - 2 * _PAD)]
    step, swatches = round(1.4 * size), _swatches(answer.colors, width, size)
    page = Image.new("RGB", (width, (len(lines) + len(swatches)) * step + 2 * _PAD), _PAPER)
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(swatches):
        top = _PAD + number * step
        for left, name, color in row:
            if color is not None:
                draw.rectangle((left, top + 2, left + size, top + 2 + size), fill=color, outline=_INK)
            draw.text((left + size + 6, top), name, fill=_INK, font=font(size))
    for number, (text, ink) in enumerate(lines, len(swatches)):
        draw.text((_PAD, _PAD + number * step), text, fill=ink, font=font(size))
    return np.array(page)


def _swatches(colors: Mapping[str, Rgb], width: int, size: int) -> list[list[tuple[float, str, Rgb | None]]]:
    """Names with their colors, as many in a row as fit: (left, name, color); a long name goes on below, without a color."""
    rows: list[list[tuple[float, str, Rgb | None]]] = []
    left = float(width)
    for name, color in colors.items():
        for number, part in enumerate(wrapped(name, size=size, width=width - 3 * _PAD - size)):
            needs = size + 6 + font(size).getlength(part) + 2 * _PAD
            if number or left + needs > width + _PAD:
                rows.append([])
                left = _PAD
            rows[-1].append((left, part, None if number else color))
            left += needs
    return rows


def _letters(pixels: Picture) -> int:
    """Size of letters that can be read on an image."""
    return max(_LETTERS, int(max(pixels.shape[:2])) // _LINES)


def _scale(pixels: Picture) -> float:
    """How much an image is enlarged: a whole number, 1 where it is large enough."""
    return float(max(1, -(-SHOWN // max(pixels.shape[:2]))))


def enlarged(pixels: Picture) -> Picture:
    """An image at `SHOWN` pixels or more: each pixel is repeated, a whole number of times."""
    times = int(_scale(pixels))
    return np.ascontiguousarray(pixels.repeat(times, axis=0).repeat(times, axis=1))
