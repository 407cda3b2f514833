"""Scenes of one or two people among a few objects, some of which stand in front of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.backgrounds import draw_background
from idiff.synthetic.drawing.body import draw_figure, extent, head_only, placed
from idiff.synthetic.drawing.description import Background, Figure, Scene, SceneObject, Thing
from idiff.synthetic.drawing.raster import silhouette
from idiff.synthetic.scenes.layout import GRID, MIN_VISIBLE, draw_object, inside, moved

IN_FRONT = 0.36
"""Share of the objects that stand in front of a figure's joint."""

HEIGHTS = (0.43, 0.87)
"""Height of a lone figure as a share of the image; two figures stay below 0.68."""

MIN_FIGURE_VISIBLE = 0.6
"""Every figure keeps at least this share of its area in sight, every object half."""

MIN_HEAD_VISIBLE = 0.8
"""And this share of its head, since the face or the back of the head tells left from right."""

_TRIES = 20
_MARGIN = 0.02  # the trial grid is coarser than the drawing


@dataclass(frozen=True, slots=True)
class _Laid:
    """A thing, with the silhouettes that must stay in sight and the least share of each."""

    thing: Thing
    mask: NDArray[np.bool_]
    needs: tuple[tuple[NDArray[np.bool_], float], ...]


def draw_figures_scene(rng: np.random.Generator) -> Scene:
    """Lay one figure (in one of six scenes two) and 0 to 3 objects on a background."""
    background = draw_background(rng)
    laid: list[_Laid] = []
    count = 2 if rng.random() < 1 / 6 else 1
    while len(laid) < count:
        figure = _stand(rng, background, place=len(laid), count=count)
        if figure is not None and _acceptable([*laid, _lay(figure)]):
            laid.append(_lay(figure))
    for _ in range(rng.integers(0, 4)):
        laid = _with_object(rng, background, laid)
    return Scene(background, tuple(item.thing for item in laid))


def _stand(rng: np.random.Generator, background: Background, *, place: int, count: int) -> Figure | None:
    """A figure of a random height, two beside each other; None where the pose is too wide for the image."""
    figure = draw_figure(rng, background)
    left, top, right, bottom = extent(figure)
    height = rng.uniform(HEIGHTS[0], HEIGHTS[1] if count == 1 else 0.68)
    scale = height / (bottom - top)
    spare = 0.97 - np.array([(right - left) * scale, height])
    if spare.min() < 0:
        return None
    along, down = rng.uniform(0, 1, size=2)
    if count == 2:
        along = 0.4 * along + 0.6 * place
    x, y = 0.015 + along * spare[0] - left * scale, 0.015 + down * spare[1] - top * scale
    return placed(figure, scale=scale, shift=(float(x), float(y)))


def _with_object(rng: np.random.Generator, background: Background, laid: list[_Laid]) -> list[_Laid]:
    """Add an object in front of a figure's joint or behind everything; nothing where no place is found."""
    figures = [item.thing for item in laid if isinstance(item.thing, Figure)]
    drawn = draw_object(rng, background)
    in_front = rng.random() < IN_FRONT
    for _ in range(_TRIES):
        if in_front:
            figure = figures[rng.integers(len(figures))]
            x, y = figure.joints[rng.integers(len(figure.joints))] + rng.normal(0, 0.02, size=2)
            item = moved(drawn, (float(x), float(y)), share=min(drawn.share, 0.05))
        else:
            item = moved(drawn, (float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.9))))
        if inside(item):
            trial = [*laid, _lay(item)] if in_front else [_lay(item), *laid]
            if _acceptable(trial):
                return trial
    return laid


def _lay(thing: Thing) -> _Laid:
    mask = silhouette(thing, GRID)
    if isinstance(thing, SceneObject):
        return _Laid(thing, mask, ((mask, MIN_VISIBLE + _MARGIN),))
    head = silhouette(head_only(thing), GRID)
    return _Laid(thing, mask, ((mask, MIN_FIGURE_VISIBLE + _MARGIN), (head, MIN_HEAD_VISIBLE + _MARGIN)))


def _acceptable(laid: list[_Laid]) -> bool:
    """Whether every thing, from the back to the front, keeps enough of itself in sight."""
    covered = np.zeros((GRID, GRID), dtype=np.bool_)
    for item in reversed(laid):
        if any(np.count_nonzero(mask & ~covered) < least * np.count_nonzero(mask) for mask, least in item.needs):
            return False
        covered |= item.mask
    return True
