"""See-through marks for images of any shape: words in a real font and drawn logos, once or all over, turned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from idiff.errors import BadSampleError
from idiff.transforms.degradations.common import draw_logo

SHARE = (0.01, 0.40)
"""Share of the image that a mark covers."""

_WORDS = (
    "sample",
    "proof",
    "preview",
    "copyright",
    "do not copy",
    "draft",
    "specimen",
    "photo by",
    "licensed to",
    "stock",
)
_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ23456789"
_FINE = 4  # drawn pixels a side for each pixel of a logo
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Cover:
    """Where a mark lies: float64 (H, W) in [0, 1], and what it is (JSON-able)."""

    share: NDArray[np.float64]
    facts: dict[str, Any]


def draw_cover(height: int, width: int, rng: np.random.Generator) -> Cover:
    """Draw a mark for an image of this size; the share of pixels at one half and more lies within `SHARE`.

    Raises:
        BadSampleError: the image is too small or too narrow for one.
    """
    for _ in range(_TRIES):
        kind = str(rng.choice(["text", "logo", "text and logo"], p=(0.5, 0.3, 0.2)))
        tiled = bool(rng.random() < 0.4)
        stamp = _stamp(kind, height, width, tiled, rng)
        angle = float(rng.choice([0.0, 0.0, 30.0, -30.0, 45.0])) + float(rng.uniform(-5, 5))
        cover = _laid(stamp, height, width, tiled, angle, rng)
        if SHARE[0] <= float((cover >= 0.5).mean()) <= SHARE[1]:
            return Cover(cover, {"kind": kind, "tiled": tiled, "angle": round(angle, 1)})
    raise BadSampleError("picture", "size", f"{width}x{height} pixels have no room for a mark")


def _stamp(kind: str, height: int, width: int, tiled: bool, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One mark, upright: uint8 (h, w), 255 = covered."""
    short = min(height, width)
    size = max(8, round(short * float(rng.uniform(0.08, 0.16) if tiled else rng.uniform(0.14, 0.4))))
    parts = []
    if "logo" in kind:
        parts.append(_logo(size * 2, rng))
    if "text" in kind:
        parts.append(_text(size, rng))
    tall = max(part.shape[0] for part in parts)
    padded = []
    for part in parts:
        above = (tall - part.shape[0]) // 2
        padded.append(np.pad(part, ((above, tall - part.shape[0] - above), (0, size // 3))))
    stamp = np.concatenate(padded, axis=1)
    limit = 0.9 * min(height / stamp.shape[0], width / stamp.shape[1])
    if limit < 1 and not tiled:
        new = (max(1, int(stamp.shape[1] * limit)), max(1, int(stamp.shape[0] * limit)))
        stamp = np.asarray(cv2.resize(stamp, new, interpolation=cv2.INTER_AREA), np.uint8)
    return stamp


def _text(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A word or a number in the font that comes with Pillow."""
    word = _WORDS[int(rng.integers(len(_WORDS)))]
    if rng.random() < 0.4:
        word = "".join(_LETTERS[int(place)] for place in rng.integers(len(_LETTERS), size=int(rng.integers(3, 8))))
    elif rng.random() < 0.5:
        word = word.upper()
    font = ImageFont.load_default(size)
    left, top, right, bottom = (math.floor(edge) for edge in font.getbbox(word))
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), word, fill=255, font=font)
    return np.array(image, dtype=np.uint8)


def _logo(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One of the scenes' shapes, filled or as a ring of it."""
    mask = draw_logo(side * _FINE, rng, share=(0.25, 0.4), mirrored=True) * np.uint8(255)
    if rng.random() < 0.4:
        mask -= cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, side * _FINE // 16))
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _laid(
    stamp: NDArray[np.uint8], height: int, width: int, tiled: bool, angle: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Lay a stamp on the image, once at a random place or in rows all over, turned by an angle in degrees."""
    reach = math.ceil(math.hypot(height, width)) + 2
    if tiled:
        gap = (
            round(stamp.shape[0] * float(rng.uniform(0.8, 2.0))),
            round(stamp.shape[1] * float(rng.uniform(0.2, 0.8))),
        )
        one = np.pad(stamp, ((0, gap[0]), (0, gap[1])))
        rows, columns = (-(-reach // length) + 1 for length in one.shape)
        sheet = np.concatenate(
            [np.roll(np.tile(one, (1, columns)), row * one.shape[1] // 2, axis=1) for row in range(rows)]
        )[:reach, :reach]
        centre = (reach / 2, reach / 2)
    else:
        sheet = stamp
        centre = (stamp.shape[1] / 2, stamp.shape[0] / 2)
    place = (width / 2, height / 2) if tiled else _place(stamp, height, width, angle, rng)
    turn = cv2.getRotationMatrix2D(centre, angle, 1.0)
    turn[:, 2] += np.array(place) - np.array(centre)
    drawn = cv2.warpAffine(sheet, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=0.0)
    return np.asarray(drawn, np.float64) / 255


def _place(
    stamp: NDArray[np.uint8], height: int, width: int, angle: float, rng: np.random.Generator
) -> tuple[float, float]:
    """A random centre (x, y) from which the turned stamp stays inside; the middle along a side that it is too long for."""
    tall, wide = stamp.shape
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    reach = ((wide * cos + tall * sin) / 2, (wide * sin + tall * cos) / 2)
    x, y = (
        float(rng.uniform(half, side - half)) if side > 2 * half else side / 2
        for half, side in zip(reach, (width, height), strict=True)
    )
    return x, y
