"""One 2x3 matrix moves an image, its label map and its points into the model's image, and answers back out.

A matrix maps a point of the original image to a point of the model's image: `(u, v) = matrix @ (x, y, 1)`, both
with pixel centres at whole numbers. `idiff.transforms.frames` says which matrix; this file applies it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from idiff.types import Picture, void_of

Number = TypeVar("Number", bound=np.generic)
Label = TypeVar("Label", bound=np.unsignedinteger)
Matrix = NDArray[np.float64]
"""float64 (2, 3)."""

Size = int | tuple[int, int]
"""The side of the model's image where it is a square, else its (height, width)."""

GREY = 128
"""What lies beyond the image, as uint8."""
_FINEST = 4


def extent(size: Size) -> tuple[int, int]:
    """(height, width) of the model's image."""
    return (size, size) if isinstance(size, int) else size


def similarity(
    centre: tuple[float, float], side: float, size: int, *, degrees: float = 0.0, mirror: bool = False
) -> Matrix:
    """Map a square of the original image, possibly turned and mirrored, to the model's square.

    Args:
        centre: (x, y) of the square's centre.
        side: its side in pixels of the original, larger than 0.
        size: side of the model's image.
        degrees: how far the image turns, clockwise as seen.
        mirror: swap left and right, after turning.
    """
    scale, angle, middle = size / side, math.radians(degrees), (size - 1) / 2
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if mirror:
        linear[0] = -linear[0]
    offset = np.array([middle, middle]) - linear @ np.asarray(centre, dtype=np.float64)
    return np.column_stack([linear, offset])


def invert(matrix: Matrix) -> Matrix:
    """The matrix of the way back. A matrix that squeezes the image into a line or a point has none: ZeroDivisionError."""
    (a, b, x), (c, d, y) = matrix.tolist()
    if b == c == 0:
        return np.array([[1 / a, 0.0, -(1 / a) * x], [0.0, 1 / d, -(1 / d) * y]])
    area = a * d - b * c
    return np.array([[d / area, -b / area, (b * y - d * x) / area], [-c / area, a / area, (c * x - a * y) / area]])


def chain(first: Matrix, second: Matrix) -> Matrix:
    """The matrix of `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def mirrored(matrix: Matrix, size: int) -> Matrix:
    """The matrix of the same view with left and right swapped in the model's square of `size` pixels."""
    return chain(matrix, np.array([[-1.0, 0.0, size - 1.0], [0.0, 1.0, 0.0]]))


def mirrors(matrix: Matrix) -> bool:
    """Whether left and right change places."""
    return bool(np.linalg.det(matrix[:, :2]) < 0)


def move_points(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Move points (K, 2 or more); columns after x and y, such as visibility, are copied. NaN stays NaN."""
    moved = np.array(points, dtype=np.float64)
    moved[:, :2] = moved[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return moved


def inside(matrix: Matrix, size: Size, original: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of the model's image show the original of (height, width), not padding: bool (h, w)."""
    x, y = _origins(matrix, size)
    return _within(x, original[1]) & _within(y, original[0])


def seen_part(matrix: Matrix | Sequence[Sequence[float]], size: Size, original: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of the original of (height, width) lie within the model's image: bool (height, width)."""
    (height, width), (y, x) = extent(size), np.mgrid[: original[0], : original[1]]
    places = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.asarray(matrix, dtype=np.float64).T
    return _within(places[..., 0], width) & _within(places[..., 1], height)


def seen_slices(
    matrix: Matrix | Sequence[Sequence[float]], size: Size, original: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of the original of (height, width) that lie within the model's image, which is not turned."""
    seen = seen_part(matrix, size, original)
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def warp_picture(picture: Picture, matrix: Matrix, size: Size) -> Picture:
    """Draw the model's view of an image; shrinking takes area means, so that fine texture does not alias.

    Args:
        picture: uint8 (H, W, 3).
        matrix: from the original to the model's pixels.
        size: of the result.

    Returns:
        uint8 (h, w, 3), `GREY` where the original has no pixel.
    """
    original, (height, width) = (picture.shape[0], picture.shape[1]), extent(size)
    seen = inside(matrix, size, original)
    if not seen.any():
        return np.full((height, width, 3), GREY, np.uint8)
    region, local = _cut(picture, matrix, size)
    shrink = 1.0 / math.sqrt(abs(np.linalg.det(local[:, :2])))
    if shrink > _FINEST:
        region, local = _shrink(region, local, factor=_FINEST / shrink)
        shrink = _FINEST
    fine = min(_FINEST, max(1, math.ceil(shrink - 1e-6)))
    # Supersample by a whole factor: (u, v) -> fine * (u + 0.5) - 0.5, then take the mean of fine x fine blocks.
    block, larger = _block(local, size, region.shape), (width * fine, height * fine)
    if block is None:
        drawn = cv2.warpAffine(
            region,
            fine * local + np.array([[0, 0, (fine - 1) / 2]] * 2),
            larger,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    else:
        drawn = cv2.resize(region[block], larger, interpolation=cv2.INTER_LINEAR)
    if fine > 1:
        drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    if block is not None and mirrors(local):
        drawn = cv2.flip(drawn, 1)
    result = np.asarray(drawn, dtype=np.uint8)
    if not seen.all():
        result[~seen] = GREY
    return result


def warp_labels(labels: NDArray[Label], matrix: Matrix, size: Size) -> NDArray[Label]:
    """Draw the model's view of a label map: the nearest label, void where the original has no pixel."""
    return warp_map(labels, matrix, size, outside=void_of(labels))


def warp_map(values: NDArray[Number], matrix: Matrix, size: Size, *, outside: float) -> NDArray[Number]:
    """Draw the model's view of a map such as depth: each pixel takes the nearest value, and none are mixed.

    Args:
        values: (H, W) or (H, W, C), numbers of any type.
        matrix: from the original to the model's pixels; `View.matrix` moves a map as its image was moved, augmentation included.
        size: of the result.
        outside: the value where the original has no pixel; must fit the type.

    Returns:
        (h, w) or (h, w, C), of the same type.
    """
    height, width = values.shape[:2]
    x, y = _origins(matrix, size)
    column = np.clip(np.rint(x), 0, width - 1).astype(np.intp)
    row = np.clip(np.rint(y), 0, height - 1).astype(np.intp)
    drawn = values[row[:, 0]][:, column[0]] if x.shape[0] == 1 else values[row, column]
    drawn[~(_within(x, width) & _within(y, height))] = outside
    return drawn


def unwarp(scores: Tensor, matrix: Matrix | Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    """Draw dense maps of the model's image back onto the original image, bilinearly.

    Padding is not a part of the original and never mixes into it: along the original's border the outermost pixels that show it are
    continued (but for turned squares, which only training sees).

    Args:
        scores: float (C, H, W).
        matrix: from the original to the model's pixels.
        size: (height, width) of the original image.

    Returns:
        float (C, height, width); pixels beyond the model's image take its border's value.
    """
    forward = torch.as_tensor(np.asarray(matrix, dtype=np.float64), dtype=torch.float64)
    y, x = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float64), torch.arange(size[1], dtype=torch.float64), indexing="ij"
    )
    moved = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ forward.T
    for axis, length in ((0, size[1]), (1, size[0])):
        if forward[axis, 1 - axis] == 0:  # not turned
            scale, offset = float(forward[axis, axis]), float(forward[axis, 2])
            low, high = sorted((offset - 0.5 * scale, offset + (length - 0.5) * scale))
            first, last = math.ceil(low - 1e-9), math.floor(high - 1e-9)
            if first <= last:  # some pixel's centre lies in the original
                moved[..., axis].clamp_(first, last)
    extent = torch.tensor([scores.shape[2], scores.shape[1]], dtype=torch.float64)
    places = ((2 * moved + 1) / extent - 1).to(scores)
    return F.grid_sample(scores[None], places[None], mode="bilinear", padding_mode="border", align_corners=False)[0]


def _origins(matrix: Matrix, size: Size) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each model pixel's centre lies in the original: x and y, each (h, w); x (1, w) and y (h, 1) where nothing is turned."""
    back, (height, width) = invert(matrix), extent(size)
    u, v = np.arange(width, dtype=np.float64)[None, :], np.arange(height, dtype=np.float64)[:, None]
    if back[0, 1] == back[1, 0] == 0:
        return back[0, 0] * u + back[0, 2], back[1, 1] * v + back[1, 2]
    x = back[0, 0] * u + back[0, 1] * v + back[0, 2]
    y = back[1, 0] * u + back[1, 1] * v + back[1, 2]
    return x, y


def _within(coordinate: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Whether a coordinate falls on a pixel; a pixel reaches half a pixel around its centre."""
    return (coordinate >= -0.5 - 1e-9) & (coordinate < length - 0.5 + 1e-9)


def _block(matrix: Matrix, size: Size, original: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns that the view shows where these are whole pixels of the original, and at least as many as it has itself."""
    if matrix[0, 1] or matrix[1, 0] or matrix[1, 1] <= 0:
        return None
    height, width = extent(size)
    ends = np.sort(move_points(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]), invert(matrix)) + 0.5, axis=0)
    whole = np.rint(ends)
    (left, top), (right, bottom) = whole.astype(int).tolist()
    fits = 0 <= left <= right - width and right <= original[1] and 0 <= top <= bottom - height and bottom <= original[0]
    return (slice(top, bottom), slice(left, right)) if fits and np.abs(ends - whole).max() < 1e-6 else None


def _cut(picture: Picture, matrix: Matrix, size: Size) -> tuple[Picture, Matrix]:
    """Cut away what the view does not show, with a margin for interpolation."""
    height, width = extent(size)
    corners = np.array([[-1.0, -1.0], [width, -1.0], [-1.0, height], [width, height]])
    around = move_points(corners, invert(matrix))
    low = np.clip(np.floor(around.min(axis=0)) - 2, 0, None).astype(int)
    high = np.ceil(around.max(axis=0)).astype(int) + 3
    cut = picture[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    return cut, chain(np.array([[1.0, 0.0, low[0]], [0.0, 1.0, low[1]]]), matrix)


def _shrink(picture: Picture, matrix: Matrix, *, factor: float) -> tuple[Picture, Matrix]:
    """Shrink an image by area means, and let the matrix start from the smaller one."""
    height, width = picture.shape[:2]
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    scale = np.array([width / small[0], height / small[1]])
    grow = np.column_stack([np.diag(scale), 0.5 * scale - 0.5])
    return cv2.resize(picture, small, interpolation=cv2.INTER_AREA), chain(grow, matrix)
