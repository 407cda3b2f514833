"""Scenes of objects: what lies where, and how much of each thing may be covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.drawing.backgrounds import draw_background
from idiff.synthetic.drawing.description import Background, Point, Scene, SceneObject
from idiff.synthetic.drawing.palette import COLORS, distance, shade
from idiff.synthetic.drawing.raster import outline, silhouette
from idiff.utils.silhouettes import KINDS, SHAPES

MIN_VISIBLE = 0.5
"""Every object keeps at least this share of its area in sight."""

GRID = 96
"""Pixels a side of the grid on which layouts are tried."""

_SAFE_VISIBLE = MIN_VISIBLE + 0.02  # the trial grid is coarser than the drawing
_TRIES = 24


def draw_objects_scene(rng: np.random.Generator) -> Scene:
    """Lay 2 to 6 objects on a background; about half of them touch or cover an earlier one."""
    background = draw_background(rng)
    count = int(rng.integers(2, 7))
    things: list[SceneObject] = []
    masks: list[NDArray[np.bool_]] = []
    while len(things) < count:
        thing = draw_object(rng, background)
        for attempt in range(_TRIES * 3):
            near = things[rng.integers(len(things))] if things and rng.random() < 0.6 else None
            share = thing.share * 0.7 ** (attempt // _TRIES)
            thing = moved(thing, _centre(rng, near=near), share=share)
            mask = silhouette(thing, GRID)
            if inside(thing) and min(visible_shares([*masks, mask])) >= _SAFE_VISIBLE:
                things.append(thing)
                masks.append(mask)
                break
    return Scene(background, tuple(things))


def draw_single_scene(rng: np.random.Generator) -> Scene:
    """Lay one object on a background, whole, and up to four times as large as one of several."""
    background = draw_background(rng)
    thing = draw_object(rng, background)
    while True:
        placed = moved(thing, _centre(rng, near=None), share=thing.share * float(rng.uniform(1, 4)))
        if inside(placed):
            return Scene(background, (placed,))


def draw_object(rng: np.random.Generator, background: Background) -> SceneObject:
    """Describe a random object in the middle of the image, in a color that stands out from the background.

    Areas are log-normal with a median of 4.6 % of the image, cut to 2.2-11 %.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    turn = SHAPES[kind].turn
    color, rgb = COLORS[0], (0, 0, 0)
    for _ in range(20):
        color = COLORS[rng.integers(len(COLORS))]
        rgb = shade(color, rng)
        if min(distance(rgb, other) for other in background.colors) >= 85:
            break
    return SceneObject(
        kind=kind,
        color=color,
        rgb=rgb,
        centre=(0.5, 0.5),
        share=float(np.clip(0.046 * np.exp(0.42 * rng.standard_normal()), 0.022, 0.11)),
        angle=float(rng.uniform(-turn, turn)),
        mirrored=bool(rng.random() < 0.5),
        light=(float(rng.uniform(0, 360)), float(rng.uniform(0.04, 0.16))),
        stripes=int(rng.integers(2, 4)) if rng.random() < 0.3 else 0,
    )


def moved(thing: SceneObject, centre: Point, *, share: float | None = None) -> SceneObject:
    """The same object elsewhere, and of another size where `share` is given."""
    return replace(thing, centre=centre, share=thing.share if share is None else share)


def inside(thing: SceneObject) -> bool:
    """Whether the whole object lies in the image."""
    points = np.concatenate(outline(thing))
    return bool(points.min() >= 0.01 and points.max() <= 0.99)


def visible_shares(masks: Sequence[NDArray[np.bool_]]) -> list[float]:
    """Share of each silhouette that is in sight.

    Args:
        masks: bool (S, S) silhouettes from the back to the front.
    """
    covered = np.zeros_like(masks[0])
    shares: list[float] = []
    for mask in reversed(masks):
        shares.append(int(np.count_nonzero(mask & ~covered)) / max(1, int(np.count_nonzero(mask))))
        covered |= mask
    return shares[::-1]


def _centre(rng: np.random.Generator, *, near: SceneObject | None) -> Point:
    """A position anywhere, or within reach of another object."""
    if near is None:
        return float(rng.uniform(0.1, 0.9)), float(rng.uniform(0.1, 0.9))
    angle, reach = rng.uniform(0, 2 * np.pi), near.share**0.5 * rng.uniform(0.4, 1.1)
    return float(near.centre[0] + reach * np.cos(angle)), float(near.centre[1] + reach * np.sin(angle))
