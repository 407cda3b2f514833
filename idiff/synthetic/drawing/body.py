"""Dress a pose: from joints to the parts that are drawn.

Which side of a person is seen shows as it does in life: a face with eyes and an open collar in front, hair all over the
head behind, feet that point towards the camera or away from it. Nothing else tells left from right.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from idiff.synthetic.drawing.description import Background, Figure, Part, Point
from idiff.synthetic.drawing.palette import COLORS, RGB, distance, from_hsv, scaled, shade
from idiff.synthetic.drawing.pose import Vector, draw_pose, project

JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "right wrist", "right elbow",
    "right shoulder", "left shoulder", "left elbow", "left wrist", "neck", "head top",
)  # fmt: skip
"""The 14 joints of the Leeds Sports Pose data set, in its order."""

PAIRS = tuple((JOINTS.index(name), JOINTS.index(name.replace("left", "right"))) for name in JOINTS if "left" in name)
"""(left, right) indices of the joints that change places in a mirror."""

SIGMA = 0.05
"""OKS sigma of every joint; none was measured for drawn figures."""

SKINS: tuple[RGB, ...] = ((244, 208, 180), (226, 178, 142), (196, 142, 104), (150, 104, 76), (112, 76, 56))
HAIRS: tuple[RGB, ...] = ((40, 32, 30), (88, 56, 36), (206, 164, 86), (158, 74, 42), (168, 168, 170))
_TORSO = ("left shoulder", "right shoulder", "right hip", "left hip")
_EYE: RGB = (24, 22, 26)


@dataclass(frozen=True, slots=True)
class Wardrobe:
    """The colors of one person, and whether sleeves, legs and hair are long."""

    skin: RGB
    hair: RGB
    shirt: RGB
    trousers: RGB
    shoes: RGB
    long_sleeves: bool
    long_legs: bool
    long_hair: bool


def draw_figure(rng: np.random.Generator, background: Background) -> Figure:
    """Draw a person around the origin, about 1 tall; `placed` moves and scales it. One in three turns its back."""
    back = bool(rng.random() < 0.35)
    yaw = float(np.clip(rng.normal(0, 22), -42, 42)) + (180 if back else 0)
    points = project(draw_pose(rng), yaw=yaw, roll=float(rng.normal(0, 6)), pitch=float(rng.uniform(6, 14)))
    forward = project({"z": np.array([0.0, 0.0, 1.0])}, yaw=yaw, roll=0, pitch=10)["z"]
    parts = _parts(points, forward, draw_wardrobe(rng, background))
    joints = tuple((float(points[name][0]), float(points[name][1])) for name in JOINTS)
    return Figure(joints=joints, parts=tuple(parts), facing="back" if back else "front")


def draw_wardrobe(rng: np.random.Generator, background: Background) -> Wardrobe:
    """Draw colors that stand out from the background and from each other."""
    skin = SKINS[rng.integers(len(SKINS))]
    hair = _apart(rng, [skin], choices=HAIRS, least=75)
    shirt = _apart(rng, [skin, *background.colors], least=85)
    trousers = _apart(rng, [skin, shirt, *background.colors], least=75)
    return Wardrobe(
        skin=skin,
        hair=hair,
        shirt=shirt,
        trousers=trousers,
        shoes=from_hsv(rng.uniform(0, 360), rng.uniform(0, 0.3), rng.uniform(0.1, 0.3)),
        long_sleeves=bool(rng.random() < 0.5),
        long_legs=bool(rng.random() < 0.65),
        long_hair=bool(rng.random() < 0.4),
    )


def _apart(rng: np.random.Generator, others: list[RGB], *, least: float, choices: tuple[RGB, ...] = ()) -> RGB:
    """Draw a color at least this far from the others, or the farthest of 20."""
    best, widest = others[0], -1.0
    for _ in range(20):
        color = choices[rng.integers(len(choices))] if choices else shade(COLORS[rng.integers(len(COLORS))], rng)
        gap = min(distance(color, other) for other in others)
        if gap > widest:
            best, widest = color, gap
        if gap >= least:
            break
    return best


def _parts(points: dict[str, Vector], forward: Vector, wear: Wardrobe) -> list[Part]:
    """All parts from the farthest to the nearest."""
    layers: list[tuple[float, Part]] = []

    def add(
        names: tuple[str, ...],
        radius: float,
        rgb: RGB,
        shows: tuple[str, ...],
        *,
        nearness: float = 0,
        closed: bool = False,
    ) -> None:
        depth = float(np.mean([points[name][2] for name in names])) + nearness
        line = tuple((float(points[name][0]), float(points[name][1])) for name in names)
        joints = tuple(JOINTS.index(name) for name in shows)
        layers.append((depth, Part(line, radius, rgb, joints, closed=closed)))

    for side in ("left", "right"):
        hip, knee, ankle, toe, shoulder, elbow, wrist, hand = (
            f"{side} {name}" for name in ("hip", "knee", "ankle", "toe", "shoulder", "elbow", "wrist", "hand")
        )
        add((ankle, toe), 0.030, wear.shoes, (ankle,), nearness=-0.012)
        add((knee, ankle), 0.037, wear.trousers if wear.long_legs else wear.skin, (knee, ankle), nearness=-0.008)
        add((hip, knee), 0.050, wear.trousers, (hip, knee), nearness=-0.004)
        add((wrist, hand), 0.029, wear.skin, (wrist,), nearness=0.026)
        add((elbow, wrist), 0.030, wear.shirt if wear.long_sleeves else wear.skin, (elbow, wrist), nearness=0.030)
        add((shoulder, elbow), 0.036, wear.shirt, (shoulder, elbow), nearness=0.034)
    add(_TORSO, 0.030, wear.shirt, ("left shoulder", "right shoulder", "left hip", "right hip", "neck"), closed=True)
    add(("neck", "head"), 0.032, wear.skin, ("neck",), nearness=0.001)
    layers += _head(points, forward, wear)
    return [part for _, part in sorted(layers, key=lambda layer: layer[0])]


def _head(points: dict[str, Vector], forward: Vector, wear: Wardrobe) -> list[tuple[float, Part]]:
    """Hair, face and eyes, each where it lies on the head, with the head's nearness; and the open collar."""
    middle, crown, neck = points["head"], points["head top"], points["neck"]
    up = (crown - middle) / np.linalg.norm(crown - middle)
    across = np.cross(up, forward)
    top = (JOINTS.index("head top"),)

    def blob(
        place: Vector, radius: float, rgb: RGB, joints: tuple[int, ...], *, outlined: bool = True
    ) -> tuple[float, Part]:
        return float(place[2]), Part(((float(place[0]), float(place[1])),), radius, rgb, joints, outlined=outlined)

    facing = float(forward[2])
    layers = [
        blob(middle - forward * 0.015 + up * 0.010, 0.094, wear.hair, top),
        blob(middle + forward * 0.030 - up * 0.016, 0.078, wear.skin, top, outlined=False),
    ]
    if wear.long_hair:
        fall = [middle - forward * 0.05, neck - forward * 0.06 - up * 0.045]
        line: tuple[Point, ...] = tuple((float(place[0]), float(place[1])) for place in fall)
        layers.append(
            (float(np.mean([place[2] for place in fall])), Part(line, 0.075, wear.hair, (JOINTS.index("neck"),)))
        )
    if facing > 0:
        for side in (-1, 1):
            eye = middle + forward * 0.075 + across * (side * 0.032) + up * 0.004
            layers.append(blob(eye, 0.016, _EYE, top, outlined=False))
        mouth = middle + forward * 0.072 - up * 0.050
        layers.append(blob(mouth, 0.013, scaled(wear.skin, 0.55), top, outlined=False))
        collar = neck - up * 0.035 + forward * 0.025
        layers.append(blob(collar, 0.034, wear.skin, (JOINTS.index("neck"),), outlined=False))
    return layers


def extent(figure: Figure) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of everything drawn."""
    spans = [(x, y, part.radius) for part in figure.parts for x, y in part.points]
    return (
        min(x - radius for x, _, radius in spans),
        min(y - radius for _, y, radius in spans),
        max(x + radius for x, _, radius in spans),
        max(y + radius for _, y, radius in spans),
    )


def placed(figure: Figure, *, scale: float, shift: Point) -> Figure:
    """The figure scaled about the origin, then moved."""

    def at(point: Point) -> Point:
        return point[0] * scale + shift[0], point[1] * scale + shift[1]

    parts = tuple(
        Part(tuple(map(at, part.points)), part.radius * scale, part.rgb, part.joints, part.closed, part.outlined)
        for part in figure.parts
    )
    return Figure(joints=tuple(map(at, figure.joints)), parts=parts, facing=figure.facing)


def head_only(figure: Figure) -> Figure:
    """The figure's head, eyes and hair alone."""
    top = JOINTS.index("head top")
    return replace(figure, parts=tuple(part for part in figure.parts if top in part.joints))
