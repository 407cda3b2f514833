"""See a scene of solids: the image, and for each pixel whose it is, how far away and how its surface lies."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from idiff.synthetic.solids.cast import (
    NEAREST,
    Floats,
    local,
    meet,
    meet_floor,
    meet_room,
    normals_at,
    pixel_rays,
    to_world,
)
from idiff.synthetic.solids.description import FARTHEST, SolidScene, Surface

SAMPLES = 3
"""Rays a side for each pixel; the middle one gives its depth, normal and owner."""


@dataclass(frozen=True, slots=True)
class SeenSolids:
    """A seen scene.

    Attributes:
        picture: uint8 (H, W, 3) RGB.
        owners: uint8 (H, W): 0 floor, walls and sky, i + 1 solid i.
        depth: float32 (H, W), metres along the optical axis; 0 where there is sky.
        normals: float32 (H, W, 3), unit vectors in camera axes (x right, y up, z to the viewer); 0 where there is sky.
        silhouettes: per solid, bool (H, W): the pixels it would own if nothing stood before it.
        visible: per solid, the share of its silhouette in sight.
    """

    picture: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    silhouettes: tuple[NDArray[np.bool_], ...]
    visible: tuple[float, ...]

    def mask(self, thing: int) -> NDArray[np.bool_]:
        """The visible pixels of a solid: bool (H, W)."""
        return np.equal(self.owners, thing + 1)


def see(scene: SolidScene, size: int) -> SeenSolids:
    """See a scene at `size` x `size` pixels."""
    side, turn = size * SAMPLES, to_world(scene.camera)
    rays = pixel_rays(scene.camera, side) @ turn.T
    eye = np.array([0.0, scene.camera.height, 0.0])
    if scene.room:
        behind, normals = meet_room(scene.room, rays, scene.camera.height)
    else:
        behind, normals = meet_floor(eye, rays), np.tile([0.0, 1.0, 0.0], (len(rays), 1))
    each = np.stack([behind, *(meet(solid, eye, rays) for solid in scene.solids)])
    owners, depth = each.argmin(axis=0), each.min(axis=0)
    sky = ~(depth <= FARTHEST)
    points = eye + np.where(sky, 0.0, depth)[:, None] * rays
    for number, solid in enumerate(scene.solids, start=1):
        mine = owners == number
        normals[mine] = normals_at(solid, points[mine])
    colors = _lit(scene, points, normals, owners, _painted(scene, points, normals, owners))
    colors[sky] = _sky(scene.wall, rays[sky])
    picture = cv2.resize(colors.reshape(side, side, 3).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(scene.seed).normal(0, scene.noise, picture.shape)
    middle = (slice(SAMPLES // 2, None, SAMPLES),) * 2
    depth[sky], normals[sky] = 0.0, 0.0
    owned = np.where(sky, 0, owners).reshape(side, side)[middle].astype(np.uint8)
    whole = [np.isfinite(one.reshape(side, side)[middle]) for one in each[1:]]
    shares = [
        int(np.count_nonzero(owned == n)) / max(1, int(np.count_nonzero(one))) for n, one in enumerate(whole, start=1)
    ]
    return SeenSolids(
        picture=np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8),
        owners=owned,
        depth=depth.reshape(side, side)[middle].astype(np.float32),
        normals=(normals @ turn).reshape(side, side, 3)[middle].astype(np.float32),
        silhouettes=tuple(whole),
        visible=tuple(shares),
    )


def _painted(scene: SolidScene, points: Floats, normals: Floats, owners: NDArray[np.intp]) -> Floats:
    """The color of each point without light, 0..255."""
    colors = np.zeros_like(points)
    upright = np.abs(normals[:, 1]) < 0.5
    for surface, where in ((scene.floor, (owners == 0) & ~upright), (scene.wall, (owners == 0) & upright)):
        along = np.where(np.abs(normals[where, :1]) > 0.5, points[where][:, [2, 1]], points[where][:, [0, 1]])
        spread = points[where][:, [0, 2]] if surface is scene.floor else along
        colors[where] = _mixed(surface, _pattern(surface.texture, spread / surface.period, scene.seed))
    for number, solid in enumerate(scene.solids, start=1):
        mine = owners == number
        at = local(solid, points[mine], moved=True)
        spread = np.stack([at[:, 0] + at[:, 2], at[:, 1]], axis=1) / (0.5 * solid.size[0])
        share = _pattern(solid.texture, spread, scene.seed + number)
        colors[mine] = np.array(solid.rgb) * (1 - 0.25 * share[:, None])
    return colors


def _lit(scene: SolidScene, points: Floats, normals: Floats, owners: NDArray[np.intp], colors: Floats) -> Floats:
    """Lambert's law with one light, and the shadows of the solids."""
    light = np.array(scene.light)
    way = light - points if scene.room else np.broadcast_to(light, points.shape)
    way = way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9) if scene.room else way
    reach = np.linalg.norm(light - points, axis=1) if scene.room else np.inf
    facing = np.clip((way * normals).sum(axis=1), 0, 1)
    bright, start = np.flatnonzero(facing > 0), points + 1e-4 * normals
    clear = np.ones(len(bright), bool)
    for number, solid in enumerate(scene.solids, start=1):
        blocked = meet(solid, start[bright], way[bright])
        bound = reach[bright] if isinstance(reach, np.ndarray) else reach
        own = (owners[bright] == number) & (blocked < 100 * NEAREST)  # a point never hides itself
        clear &= ~((blocked < bound) & np.isfinite(blocked)) | own
    shade = np.full(len(points), scene.ambient)
    shade[bright] += (1.1 - scene.ambient) * facing[bright] * clear
    return np.asarray(colors * np.minimum(shade, 1.0)[:, None])


def _sky(surface: Surface, rays: Floats) -> Floats:
    """Brighter towards the horizon."""
    up = np.clip(rays[:, 1] / np.linalg.norm(rays, axis=1), 0, 1)
    return np.asarray(_mixed(surface, np.sqrt(up)) * 0.5 + 110)


def _mixed(surface: Surface, share: Floats) -> Floats:
    one, other = (np.array(color, np.float64) for color in surface.colors)
    return np.asarray(one + (other - one) * share[:, None])


def _pattern(texture: str, spread: Floats, seed: int) -> Floats:
    """How much of the second color each point (N, 2) has: (N,) in [0, 1]."""
    cell = np.floor(spread).astype(np.int64)
    if texture == "stripes":
        return (cell[:, 0] % 2).astype(np.float64)
    if texture == "checks":
        return np.asarray((cell.sum(axis=1) % 2).astype(np.float64), np.float64)
    if texture == "specks":
        table = np.random.default_rng(seed).random((64, 64))
        fine = np.floor(4 * spread).astype(np.int64) % 64
        return np.asarray(table[fine[:, 0], fine[:, 1]])
    return np.zeros(len(spread))
