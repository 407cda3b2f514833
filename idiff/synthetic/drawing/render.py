"""Draw a scene: an image, and which thing owns each of its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.backgrounds import camera_noise, paint_background
from idiff.synthetic.drawing.description import Figure, Scene
from idiff.synthetic.drawing.raster import Canvas, paint

SUPERSAMPLING = 4
"""Drawn pixels a side for each pixel of the image."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A drawn scene.

    Attributes:
        picture: uint8 (H, W, 3) RGB, anti-aliased.
        owners: uint8 (H, W): 0 where most of a pixel is background, i + 1 where most of it is thing i (the uppermost
            wins a tie).
        silhouettes: per thing, bool (H, W): the pixels it would own if nothing lay over it.
        visible: per thing, the share of its silhouette in sight, counted in drawn pixels.
        seen: per thing, whether each joint of a figure is in sight; empty for objects.
    """

    picture: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    silhouettes: tuple[NDArray[np.bool_], ...]
    visible: tuple[float, ...]
    seen: tuple[tuple[bool, ...], ...]

    def mask(self, thing: int) -> NDArray[np.bool_]:
        """The visible pixels of a thing: bool (H, W)."""
        return np.equal(self.owners, thing + 1)


def render(scene: Scene, size: int) -> Rendered:
    """Draw a scene at `size` x `size` pixels."""
    fine = size * SUPERSAMPLING
    shape = (fine, fine)
    canvas = Canvas(paint_background(scene.background, fine), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
    whole = [paint(canvas, thing, number) for number, thing in enumerate(scene.things)]

    small = cv2.resize(canvas.picture, (size, size), interpolation=cv2.INTER_AREA)
    noisy = small + np.rint(camera_noise(scene.background, size))
    covers = [_cover(canvas.owners == number, size) for number in range(len(scene.things) + 1)]
    owners = np.argmax(np.stack(covers[::-1]), axis=0)
    return Rendered(
        picture=np.clip(noisy, 0, 255).astype(np.uint8),
        owners=(len(scene.things) - owners).astype(np.uint8),
        silhouettes=tuple(np.greater_equal(_cover(mask, size), SUPERSAMPLING**2 // 2) for mask in whole),
        visible=tuple(
            int(np.count_nonzero(canvas.owners == number + 1)) / max(1, int(np.count_nonzero(mask)))
            for number, mask in enumerate(whole)
        ),
        seen=tuple(
            _seen(canvas, thing, number) if isinstance(thing, Figure) else ()
            for number, thing in enumerate(scene.things)
        ),
    )


def _cover(mask: NDArray[np.bool_], size: int) -> NDArray[np.uint8]:
    """How many drawn pixels of each image pixel are set: (size, size), 0..16."""
    counted = mask.view(np.uint8) * np.uint8(SUPERSAMPLING**2)  # so that the mean over a block is its count
    return np.asarray(cv2.resize(counted, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _seen(canvas: Canvas, figure: Figure, number: int) -> tuple[bool, ...]:
    """A joint is in sight where its figure is the uppermost thing and one of the joint's own parts lies on top."""
    found = []
    for joint, (x, y) in enumerate(figure.joints):
        column, row = (min(canvas.side - 1, max(0, int(share * canvas.side))) for share in (x, y))
        owned = canvas.owners[row, column] == number + 1
        found.append(bool(owned and joint in figure.parts[canvas.parts[row, column] - 1].joints))
    return tuple(found)
