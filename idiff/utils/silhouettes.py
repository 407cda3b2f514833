"""The silhouettes of the kinds of object: polygons, and how they are placed on and filled into pixel grids.

Every shape has area 1 and its bounding box is centred on the origin, so that an object's size does not tell its kind. y
points down, as in images. Grids hold side x side pixels with pixel centres at whole numbers, so a share u of the side lies at
u * side - 0.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Contour: TypeAlias = NDArray[np.float64]
"""float64 (N, 2) points (x, y) of a closed polygon."""

SHIFT = 4
"""Bits behind the point in OpenCV's drawing coordinates: 1/16 pixel."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of object.

    Attributes:
        contours: closed polygons of the silhouette; a polygon inside another is a hole (even-odd rule).
        marks: closed polygons inside the silhouette that are drawn in another brightness, such as a door or an eye.
        turn: largest rotation in degrees that an object of this kind is drawn with; 180 where every direction is fine.
    """

    contours: tuple[Contour, ...]
    marks: tuple[Contour, ...] = ()
    turn: float = 25.0


def _points(*pairs: tuple[float, float]) -> Contour:
    return np.array(pairs, dtype=np.float64)


def _arc(radius: float, start: float, stop: float, *, centre: tuple[float, float] = (0, 0), steps: int = 40) -> Contour:
    """Points on a circle from angle `start` to `stop` in degrees, clockwise on the screen."""
    angles = np.deg2rad(np.linspace(start, stop, steps))
    return np.stack([centre[0] + radius * np.cos(angles), centre[1] + radius * np.sin(angles)], axis=1)


def _star() -> Shape:
    angles = np.deg2rad(np.arange(10) * 36 - 90)
    radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.45)
    return Shape((np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1),))


def _cross() -> Shape:
    a, b = 1.0, 0.34
    corners = [
        (-b, -a),
        (b, -a),
        (b, -b),
        (a, -b),
        (a, b),
        (b, b),
        (b, a),
        (-b, a),
        (-b, b),
        (-a, b),
        (-a, -b),
        (-b, -b),
    ]
    return Shape((_points(*corners),), turn=15)


def _heart() -> Shape:
    t = np.deg2rad(np.linspace(0, 360, 48, endpoint=False))
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return Shape((np.stack([x, y], axis=1),))


def _crescent() -> Shape:
    outer = _arc(1.0, 52.4, 307.6)
    inner = _arc(0.8, 278, 82, centre=(0.5, 0))
    return Shape((np.concatenate([outer, inner]),), turn=180)


def _arrow() -> Shape:
    corners = [(-1, -0.27), (0.1, -0.27), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.27), (-1, 0.27)]
    return Shape((_points(*corners),), turn=180)


def _house() -> Shape:
    walls = _points((-0.75, -0.1), (-1.05, -0.1), (0, -1), (1.05, -0.1), (0.75, -0.1), (0.75, 0.9), (-0.75, 0.9))
    door = _points((-0.2, 0.3), (0.25, 0.3), (0.25, 0.9), (-0.2, 0.9))
    roof = _points((-1.05, -0.1), (0, -1), (1.05, -0.1))
    return Shape((walls,), (door, roof), turn=12)


def _tree() -> Shape:
    crown = [(0, -1.2), (0.6, -0.4), (0.34, -0.4), (0.85, 0.45), (0.2, 0.45), (0.2, 0.95)]
    outline = crown + [(-x, y) for x, y in reversed(crown[1:])]
    trunk = _points((-0.2, 0.45), (0.2, 0.45), (0.2, 0.95), (-0.2, 0.95))
    return Shape((_points(*outline),), (trunk,), turn=12)


def _fish() -> Shape:
    body = _arc(1.0, 155, 505, steps=36) * np.array([0.95, 0.58])
    tail = _points((-1.45, 0.62), (-1.25, 0), (-1.45, -0.62))
    eye = _arc(0.13, 0, 330, centre=(0.52, -0.14), steps=12)
    return Shape((np.concatenate([body, tail]),), (eye,), turn=25)


def _mushroom() -> Shape:
    cap = _arc(1.0, 180, 360, steps=30) * np.array([1.0, 0.95])
    stem = _points((0.3, 0.12), (0.36, 0.85), (-0.36, 0.85), (-0.3, 0.12))
    edge = _points((1.0, 0.12), (-1.0, 0.12))
    outline = np.concatenate([cap, edge[:1], stem, edge[1:]])
    return Shape((outline,), (stem,), turn=15)


_DRAWN: dict[str, Callable[[], Shape]] = {
    "circle": lambda: Shape((_arc(1.0, 0, 351, steps=40),), turn=180),
    "square": lambda: Shape((_points((-1, -1), (1, -1), (1, 1), (-1, 1)),), turn=15),
    "triangle": lambda: Shape((_points((0, -1), (1, 0.75), (-1, 0.75)),), turn=20),
    "star": _star,
    "ring": lambda: Shape((_arc(1.0, 0, 351, steps=40), _arc(0.52, 0, 351, steps=40)), turn=180),
    "cross": _cross,
    "heart": _heart,
    "crescent": _crescent,
    "diamond": lambda: Shape((_points((0, -1.25), (0.72, 0), (0, 1.25), (-0.72, 0)),), turn=12),
    "arrow": _arrow,
    "house": _house,
    "tree": _tree,
    "fish": _fish,
    "mushroom": _mushroom,
}


def area(contours: tuple[Contour, ...]) -> float:
    """Area of polygons under the even-odd rule, where the first holds all the others as holes."""

    def shoelace(contour: Contour) -> float:
        x, y = contour.T
        return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2

    return shoelace(contours[0]) - sum(shoelace(hole) for hole in contours[1:])


def _normalised(shape: Shape) -> Shape:
    """Move the bounding box's centre to the origin and scale to area 1."""
    outer = shape.contours[0]
    middle = (outer.min(axis=0) + outer.max(axis=0)) / 2
    factor = area(shape.contours) ** -0.5

    def moved(contours: tuple[Contour, ...]) -> tuple[Contour, ...]:
        return tuple((contour - middle) * factor for contour in contours)

    return Shape(moved(shape.contours), moved(shape.marks), shape.turn)


SHAPES: dict[str, Shape] = {kind: _normalised(draw()) for kind, draw in _DRAWN.items()}
"""Kind -> its shape."""

KINDS = tuple(SHAPES)
"""The names of the kinds, in a fixed order."""


def placed(
    contours: Iterable[Contour], *, centre: tuple[float, float], share: float, angle: float, mirrored: bool = False
) -> list[Contour]:
    """Put a shape's contours on an image, in shares of its side.

    Args:
        contours: of a shape of area 1 around the origin.
        centre: (x, y) of the shape's origin, as shares of the side.
        share: area of the silhouette as a share of the image.
        angle: rotation in degrees, clockwise.
        mirrored: flip left to right before the rotation.
    """
    turn, scale = np.deg2rad(angle), share**0.5
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    flip = -1.0 if mirrored else 1.0
    matrix = np.array([[flip * cos, flip * sin], [-sin, cos]])
    return [contour @ matrix + np.array(centre) for contour in contours]


def fixed(
    points: Contour | Sequence[tuple[float, float]], side: int, offset: tuple[int, int] = (0, 0)
) -> NDArray[np.int32]:
    """Shares of the side -> OpenCV's fixed-point pixels, from a region that starts at `offset`."""
    pixels = np.asarray(points, dtype=np.float64) * side - (np.array(offset) + 0.5)
    return np.asarray(np.rint(pixels * (1 << SHIFT)), dtype=np.int32)


def filled(contours: Iterable[Contour], side: int) -> NDArray[np.uint8]:
    """Contours in shares of the side, filled under the even-odd rule: uint8 (side, side) of 0 and 1."""
    mask = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(mask, [fixed(contour, side) for contour in contours], 1, shift=SHIFT)
    return mask
