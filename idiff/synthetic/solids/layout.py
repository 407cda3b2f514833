"""Draw a scene of solids: the camera, the place, and what stands where."""

from __future__ import annotations

import math

import numpy as np

from idiff.synthetic.drawing.palette import COLORS, distance, muted, shade
from idiff.synthetic.solids.cast import Floats, meet, pixel_rays, to_world
from idiff.synthetic.solids.description import KINDS, Camera, Solid, SolidScene, Surface

COUNT = (2, 8)
"""Least and most objects."""

MIN_VISIBLE = 0.5
"""Every object keeps at least this share of what the image shows of it in sight of the camera."""

TEXTURES = ("plain", "stripes", "checks", "specks")

EYE_HEIGHT = (1.4, 1.8)
"""Metres of the camera over the floor: as a person holds it. An image tells no lengths, so this is what ties it to metres."""

_GRID = 48
_LEAST = 14
"""Pixels of the trial grid that each object shows: 0.6 % of the image."""


def draw_solids_scene(rng: np.random.Generator) -> SolidScene:
    """Stand 2 to 8 objects on a plane or in a room; they may hide half of each other."""
    camera = Camera(float(rng.uniform(*EYE_HEIGHT)), float(rng.uniform(4, 28)), float(rng.uniform(42, 70)))
    room = (
        (float(rng.uniform(2, 6)), float(rng.uniform(2.6, 4)), float(rng.uniform(5, 16)))
        if rng.random() < 0.5
        else None
    )
    floor, wall = (
        Surface((muted(rng), muted(rng)), float(rng.uniform(0.3, 1.2)), TEXTURES[rng.integers(len(TEXTURES))])
        for _ in range(2)
    )
    count, far = int(rng.integers(COUNT[0], COUNT[1] + 1)), room[2] if room else 24.0
    solids = _stand(camera, room, floor, count, far, rng)
    sun = math.radians(rng.uniform(0, 360)), math.radians(rng.uniform(30, 70))
    light = (math.cos(sun[0]) * math.cos(sun[1]), math.sin(sun[1]), abs(math.sin(sun[0])) * math.cos(sun[1]))
    if room:
        light = (float(rng.uniform(-0.6, 0.6)) * room[0], 0.93 * room[1], float(-rng.uniform(0.1, 0.6)) * room[2])
    return SolidScene(
        camera, room, floor, wall, light, float(rng.uniform(0.45, 0.65)), tuple(solids),
        seed=int(rng.integers(2**31)), noise=float(rng.uniform(0, 4)),
    )  # fmt: skip


def _stand(
    camera: Camera,
    room: tuple[float, float, float] | None,
    floor: Surface,
    count: int,
    far: float,
    rng: np.random.Generator,
) -> list[Solid]:
    """Try places until enough objects stand apart and in sight of a coarse camera; two always find a place."""
    rays, eye = pixel_rays(camera, _GRID) @ to_world(camera).T, np.array([0.0, camera.height, 0.0])
    solids: list[Solid] = []
    depths: list[Floats] = []
    tries = 0
    while len(solids) < count and (tries < 60 * count or len(solids) < COUNT[0]):
        tries += 1
        if tries % 200 == 0:
            solids, depths = [], []  # a bad beginning
        solid = _solid(camera, floor, far, rng)
        if any(math.dist(solid.place, other.place) < reach(solid) + reach(other) + 0.05 for other in solids):
            continue
        if room and (abs(solid.place[0]) + reach(solid) > room[0] or solid.size[1] > 0.9 * room[1]):
            continue
        if room and -solid.place[1] + reach(solid) > room[2]:
            continue
        trial = [*depths, meet(solid, eye, rays)]
        nearest = np.min(trial, axis=0)
        seen = [int(np.count_nonzero((one <= nearest) & np.isfinite(one))) for one in trial]
        whole = [max(1, int(np.count_nonzero(np.isfinite(one)))) for one in trial]
        if all(part >= _LEAST and part >= (MIN_VISIBLE + 0.04) * of for part, of in zip(seen, whole, strict=True)):
            solids.append(solid)
            depths = trial
    return solids


def reach(solid: Solid) -> float:
    """The radius in metres of the circle on the floor that a solid stands within."""
    return math.hypot(solid.size[0], solid.size[2]) if solid.kind == "box" else solid.size[0]


def _solid(camera: Camera, floor: Surface, far: float, rng: np.random.Generator) -> Solid:
    """A solid within the camera's view, larger the farther it stands."""
    kind = KINDS[rng.integers(len(KINDS))]
    away = float(np.exp(rng.uniform(math.log(2.4), math.log(far))))
    wide = float(np.clip(away * rng.uniform(0.06, 0.16), 0.15, 1.6))
    tall = 2 * wide if kind == "sphere" else wide * float(rng.uniform(1.0, 3.0))
    deep = wide * float(rng.uniform(0.5, 1.5)) if kind == "box" else wide
    across = 0.9 * math.tan(math.radians(camera.view) / 2) * away
    name, rgb = COLORS[0], (0, 0, 0)
    for _ in range(20):
        name = COLORS[rng.integers(len(COLORS))]
        rgb = shade(name, rng)
        if min(distance(rgb, other) for other in floor.colors) >= 85:
            break
    return Solid(
        kind, name, rgb, (float(rng.uniform(-across, across)), -away - wide), (wide, tall, deep),
        turn=float(rng.uniform(0, 90)) if kind == "box" else 0.0,
        texture=TEXTURES[rng.integers(len(TEXTURES))] if rng.random() < 0.5 else "plain",
    )  # fmt: skip
