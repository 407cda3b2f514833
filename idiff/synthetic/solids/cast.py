"""Where rays meet solids, floor and walls: exact, in closed form.

Rays are float64 (N, 3). A distance is in lengths of its ray's direction; a ray that meets nothing has infinity.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.solids.description import Camera, Solid

Floats: TypeAlias = NDArray[np.float64]

NEAREST = 1e-6
"""Hits nearer than this are the surface that a ray starts from."""


def pixel_rays(camera: Camera, side: int) -> Floats:
    """Directions (side * side, 3) through the pixel centres, in camera axes: x right, y up, z to the viewer.

    They have z = -1, so that the distance of a hit is its depth along the optical axis.
    """
    focal = 0.5 * side / math.tan(math.radians(camera.view) / 2)
    place = (np.arange(side) - (side - 1) / 2) / focal
    x, y = np.meshgrid(place, -place)
    return np.stack([x, y, np.full_like(x, -1.0)], axis=-1).reshape(-1, 3)


def to_world(camera: Camera) -> Floats:
    """The matrix (3, 3) that turns camera axes into those of the world; its transpose turns back."""
    angle = math.radians(camera.pitch)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, sin], [0.0, -sin, cos]])


def meet_floor(start: Floats, ray: Floats) -> Floats:
    """Distances (N,) to the plane y = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = -start[..., 1] / ray[:, 1]
    return np.where(distance > NEAREST, distance, np.inf)


def meet_room(room: tuple[float, float, float], ray: Floats, height: float) -> tuple[Floats, Floats]:
    """Distances (N,) from the camera to the walls, floor and ceiling of a room, and the normals (N, 3) that look into it."""
    wide, tall, deep = room
    low, high = np.array([-wide, -height, -deep]), np.array([wide, tall - height, deep])
    with np.errstate(divide="ignore"):
        each = np.where(ray > 0, high, low) / np.where(ray == 0, np.inf, ray)
    each[ray == 0] = np.inf
    axis = each.argmin(axis=1)
    rows = np.arange(len(ray))
    normals = np.zeros_like(ray)
    normals[rows, axis] = -np.sign(ray[rows, axis])
    return each[rows, axis], normals


def local(solid: Solid, points: Floats, *, moved: bool) -> Floats:
    """Points (moved) or directions in the axes of a solid, which stands on its origin."""
    shift = np.array([solid.place[0], 0.0, solid.place[1]]) if moved else 0.0
    return np.asarray((points - shift) @ _turn(solid), np.float64)


def meet(solid: Solid, start: Floats, ray: Floats) -> Floats:
    """Distances (N,) to the near side of a solid.

    Args:
        solid: what may be met.
        start: (3,) or (N, 3), world.
        ray: (N, 3), world.
    """
    middle = np.array([solid.place[0], solid.size[1] / 2, solid.place[1]])
    towards = np.broadcast_to(middle - start, ray.shape)
    along = np.einsum("ij,ij->i", towards, ray)
    missed = np.einsum("ij,ij->i", towards, towards) - along * along / np.einsum("ij,ij->i", ray, ray)
    near = np.flatnonzero(missed <= (solid.size[0] ** 2 + (solid.size[1] / 2) ** 2 + solid.size[2] ** 2) * (1 + 1e-9))
    found = np.full(len(ray), np.inf)  # rays that miss the ball around the solid miss the solid
    origin = local(solid, np.broadcast_to(start, ray.shape)[near], moved=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        found[near] = _MEET[solid.kind](solid, origin, local(solid, ray[near], moved=False))
    return found


def normals_at(solid: Solid, points: Floats) -> Floats:
    """Outward unit normals (N, 3), world, at points on a solid's surface (N, 3), world."""
    at, (wide, tall, deep) = local(solid, points, moved=True), solid.size
    found = np.zeros_like(at)
    if solid.kind == "sphere":
        found = at - (0.0, wide, 0.0)
    elif solid.kind == "box":
        share = (at - (0.0, tall / 2, 0.0)) / (wide, tall / 2, deep)
        axis, rows = np.abs(share).argmax(axis=1), np.arange(len(at))
        found[rows, axis] = np.sign(share[rows, axis])
    elif solid.kind == "cylinder":
        top = at[:, 1] > tall - 1e-7 * (1 + tall)
        found[:, [0, 2]] = np.where(top[:, None], 0.0, at[:, [0, 2]])
        found[:, 1] = top
    else:
        around = at[:, [0, 2]] / np.maximum(np.linalg.norm(at[:, [0, 2]], axis=1, keepdims=True), 1e-12)
        found = np.stack([around[:, 0] * tall, np.full(len(at), wide), around[:, 1] * tall], axis=1)
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return np.asarray(found @ _turn(solid).T, np.float64)


def _turn(solid: Solid) -> Floats:
    angle = math.radians(solid.turn)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])


def _box(solid: Solid, origin: Floats, way: Floats) -> Floats:
    low, high = np.array([-solid.size[0], 0.0, -solid.size[2]]), np.array(solid.size)
    one, other = (low - origin) / way, (high - origin) / way
    enter = np.nanmax(np.minimum(one, other), axis=1)
    leave = np.nanmin(np.maximum(one, other), axis=1)
    return np.where((enter <= leave) & (enter > NEAREST), enter, np.inf)


def _sphere(solid: Solid, origin: Floats, way: Floats) -> Floats:
    radius = solid.size[0]
    from_middle = origin - (0.0, radius, 0.0)
    a, b = (way * way).sum(axis=1), (from_middle * way).sum(axis=1)
    return _nearer(a, b, (from_middle * from_middle).sum(axis=1) - radius**2, np.zeros_like(origin), way, np.inf)


def _cylinder(solid: Solid, origin: Floats, way: Floats) -> Floats:
    radius, tall, _ = solid.size
    flat = [0, 2]
    a, b = (way[:, flat] ** 2).sum(axis=1), (origin[:, flat] * way[:, flat]).sum(axis=1)
    side = _nearer(a, b, (origin[:, flat] ** 2).sum(axis=1) - radius**2, origin, way, tall)
    top = (tall - origin[:, 1]) / way[:, 1]
    there = origin[:, flat] + top[:, None] * way[:, flat]
    top = np.where((top > NEAREST) & ((there**2).sum(axis=1) <= radius**2), top, np.inf)
    return np.minimum(side, top)


def _cone(solid: Solid, origin: Floats, way: Floats) -> Floats:
    radius, tall, _ = solid.size
    slope = (radius / tall) ** 2
    flat, down = [0, 2], tall - origin[:, 1]
    a = (way[:, flat] ** 2).sum(axis=1) - slope * way[:, 1] ** 2
    b = (origin[:, flat] * way[:, flat]).sum(axis=1) + slope * down * way[:, 1]
    return _nearer(a, b, (origin[:, flat] ** 2).sum(axis=1) - slope * down**2, origin, way, tall)


def _nearer(a: Floats, b: Floats, c: Floats, origin: Floats, way: Floats, tall: float) -> Floats:
    """The least root > 0 of a t^2 + 2 b t + c whose point lies at heights 0 to `tall`."""
    root = np.sqrt(b * b - a * c)
    found = np.full(len(a), np.inf)
    for sign in (-1.0, 1.0):
        distance = (-b + sign * root) / a
        height = origin[:, 1] + distance * way[:, 1]
        good = (distance > NEAREST) & ((height >= 0) & (height <= tall) if tall < np.inf else True)
        found = np.where(good & (distance < found), distance, found)
    return found


_MEET = {"box": _box, "sphere": _sphere, "cylinder": _cylinder, "cone": _cone}
