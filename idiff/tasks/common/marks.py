"""Images that carry random areas of color or discs, and captions that say so: what stage 1 learns to paint.

Source: InstructDiffusion, section 3.3, "pretraining adaptation": text-to-image on such images, without any truth of a task,
so that the model paints masks and discs before it is asked where.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.tasks.instructions.suffixes import Marks, with_suffix
from idiff.utils import painting
from idiff.utils.painting import Rgb

_AREAS, _DISCS = (2, 4), (1, 5)
_REACH = (0.1, 0.28)
"""From an area's centre to its corners, as a share of the side."""

_WAYS: tuple[Marks, Marks] = ("masks", "discs")


def marked(
    picture: Tensor,
    caption: str,
    rng: np.random.Generator,
    *,
    colors: Mapping[str, Rgb],
    transparency: float,
    radius: float,
    seen: Tensor,
) -> tuple[Tensor, str]:
    """Paint areas of different colors or discs of one color over an image, half the time each.

    Args:
        picture: float32 (3, H, W) in [-1, 1].
        caption: what it shows.
        rng: draws everything.
        colors: names and values.
        transparency: share of the image that shows through an area; discs are opaque.
        radius: of a disc, in pixels.
        seen: bool (H, W): where there is an image; the rest stays unpainted.

    Returns:
        the painted image, and its caption.
    """
    height, width = picture.shape[1:]
    way = _WAYS[int(rng.integers(2))]
    names = [list(colors)[index] for index in rng.permutation(len(colors)).tolist()]
    text = with_suffix(caption, way, rng, color=names[0])
    count = int(rng.integers(_AREAS[0], _AREAS[1] + 1) if way == "masks" else rng.integers(_DISCS[0], _DISCS[1] + 1))
    places = rng.uniform((0, 0), (width, height), (count, 2)) - 0.5
    if way == "discs":
        painted = painting.discs(picture, places, [colors[names[0]]] * count, radius=radius)
    else:
        painted = picture
        for place, name in zip(places, names, strict=False):
            area = _area(place, (height, width), rng)
            painted = torch.where(area, painting.blend(picture, area, colors[name], transparency), painted)
    return torch.where(seen, painted, picture), text


def _area(place: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """A shape of five to nine corners around a place: bool (H, W)."""
    corners = int(rng.integers(5, 10))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(*_REACH, corners) * min(size)
    outline = place + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None]
    drawn = np.zeros(size, np.uint8)
    cv2.fillPoly(drawn, [np.rint(outline).astype(np.int32)], 1)
    return torch.from_numpy(drawn.astype(np.bool_))
