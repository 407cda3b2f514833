"""Geometry onto pixel grids: the painting of one thing onto a canvas, and its silhouette. Grids as in `utils.silhouettes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.description import Figure, Part, SceneObject, Thing
from idiff.synthetic.drawing.palette import RGB, rim, scaled
from idiff.utils.silhouettes import SHAPES, SHIFT, Contour, filled, fixed, placed

_OUTLINE = 0.011
"""Thickness of an outline as a share of the side."""


@dataclass(slots=True)
class Canvas:
    """What has been painted so far.

    Attributes:
        picture: uint8 (S, S, 3) RGB.
        owners: uint8 (S, S): 0 where the background shows, i + 1 where thing i is on top.
        parts: uint8 (S, S): 1 + the index of the uppermost part of a figure; 0 where an object or the background is on
            top.
    """

    picture: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    parts: NDArray[np.uint8]

    @property
    def side(self) -> int:
        """Pixels a side."""
        return int(self.owners.shape[0])


def paint(canvas: Canvas, thing: Thing, number: int) -> NDArray[np.bool_]:
    """Paint a thing on top of everything so far and write `number + 1` into `canvas.owners` where it lies.

    Returns:
        the thing's silhouette: bool (S, S).
    """
    if isinstance(thing, SceneObject):
        return _paint_object(canvas, thing, number)
    return _paint_figure(canvas, thing, number)


def silhouette(thing: Thing, side: int) -> NDArray[np.bool_]:
    """The pixels of a thing as if nothing lay over it: bool (side, side)."""
    if isinstance(thing, SceneObject):
        return filled(outline(thing), side).view(np.bool_)
    mask = np.zeros((side, side), dtype=np.uint8)
    for part, points in zip(thing.parts, _part_points(thing, side), strict=True):
        _stroke(mask, part, points, part.radius, 1)
    return mask.view(np.bool_)


def outline(thing: SceneObject) -> list[Contour]:
    """The object's contours in shares of the side."""
    return _placed(thing, SHAPES[thing.kind].contours)


def _placed(thing: SceneObject, contours: Iterable[Contour]) -> list[Contour]:
    return placed(contours, centre=thing.centre, share=thing.share, angle=thing.angle, mirrored=thing.mirrored)


def _part_points(figure: Figure, side: int) -> list[NDArray[np.int32]]:
    """The points of every part, turned into fixed-point pixels all at once."""
    points = fixed([point for part in figure.parts for point in part.points], side)
    ends = list(accumulate(len(part.points) for part in figure.parts))
    return [points[end - len(part.points) : end] for part, end in zip(figure.parts, ends, strict=True)]


def _paint_object(canvas: Canvas, thing: SceneObject, number: int) -> NDArray[np.bool_]:
    side = canvas.side
    contours = outline(thing)
    low = np.floor(np.min([c.min(axis=0) for c in contours], axis=0) * side).astype(int) - 2
    high = np.ceil(np.max([c.max(axis=0) for c in contours], axis=0) * side).astype(int) + 3
    (x0, y0), (x1, y1) = (int(v) for v in np.clip(low, 0, side)), (int(v) for v in np.clip(high, 0, side))
    drawn = [fixed(contour, side, (x0, y0)) for contour in contours]
    inside = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
    cv2.fillPoly(inside, drawn, 1, shift=SHIFT)
    shade = _shading(thing, (x0, y0, x1, y1), side)
    for mark in _placed(thing, SHAPES[thing.kind].marks):
        spot = np.zeros_like(inside)
        cv2.fillPoly(spot, [fixed(mark, side, (x0, y0))], 1, shift=SHIFT)
        shade[spot > 0] *= np.float32(0.62) if max(thing.rgb) > 60 else np.float32(4)
    fill = cv2.merge(
        [np.minimum(shade * np.float32(channel), np.float32(255)).astype(np.uint8) for channel in thing.rgb]
    )
    cv2.polylines(fill, drawn, True, rim(thing.rgb), thickness=max(1, round(2 * _OUTLINE * side)), shift=SHIFT)
    held = inside.view(np.bool_)
    np.copyto(canvas.picture[y0:y1, x0:x1], fill, where=held[..., None])
    canvas.owners[y0:y1, x0:x1][held] = number + 1
    canvas.parts[y0:y1, x0:x1][held] = 0
    whole = np.zeros((side, side), dtype=np.bool_)
    whole[y0:y1, x0:x1] = held
    return whole


def _shading(thing: SceneObject, region: tuple[int, int, int, int], side: int) -> NDArray[np.float32]:
    """Brightness factor over the region: light from one side, and stripes."""
    x0, y0, x1, y1 = region
    direction, strength = np.deg2rad(thing.light[0]), np.float32(thing.light[1])
    radius = np.float32(thing.share**0.5 * side / 2)
    x = (np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(thing.centre[0] * side)) / radius
    y = (np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(thing.centre[1] * side)) / radius
    along = x * np.float32(np.cos(direction)) + y * np.float32(np.sin(direction))
    shade = np.float32(1) + strength * np.clip(along, -1.5, 1.5)
    if thing.stripes:
        bands = np.floor(along * np.float32(thing.stripes)) % 2
        shade = shade - np.float32(0.16) * bands
    return np.asarray(shade, dtype=np.float32)


def _paint_figure(canvas: Canvas, figure: Figure, number: int) -> NDArray[np.bool_]:
    parts = np.zeros_like(canvas.parts)
    for index, (part, points) in enumerate(zip(figure.parts, _part_points(figure, canvas.side), strict=True)):
        _stroke(parts, part, points, part.radius, index + 1)
        if part.outlined:
            _stroke(canvas.picture, part, points, part.radius, scaled(part.rgb, 0.5))
            _stroke(canvas.picture, part, points, part.radius - _OUTLINE / 2, part.rgb)
        else:
            _stroke(canvas.picture, part, points, part.radius, part.rgb)
    whole = parts > 0
    canvas.owners[whole] = number + 1
    np.copyto(canvas.parts, parts, where=whole)
    return whole


def _stroke(image: NDArray[np.uint8], part: Part, points: NDArray[np.int32], radius: float, value: int | RGB) -> None:
    reach = radius * image.shape[0]
    if len(points) == 1:
        x, y = points[0].tolist()
        cv2.circle(image, (x, y), max(1, round(reach * (1 << SHIFT))), value, -1, shift=SHIFT)
        return
    if part.closed:
        cv2.fillPoly(image, [points], value, shift=SHIFT)
    cv2.polylines(image, [points], part.closed, value, thickness=max(1, round(2 * reach)), shift=SHIFT)
