"""What is in a scene of solids, apart from how it is seen.

World coordinates in metres: x to the right, y up, z towards the viewer. The floor is y = 0 and the camera stands over the origin,
looking along -z and down.
"""

from __future__ import annotations

from dataclasses import dataclass

from idiff.synthetic.drawing.palette import RGB

KINDS = ("box", "sphere", "cylinder", "cone")
"""The kinds of solid, in a fixed order."""

FARTHEST = 40.0
"""Metres. What lies farther is sky, without depth."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a scene is seen from.

    Attributes:
        height: over the floor in metres.
        pitch: how far it looks down, in degrees.
        view: angle that a side of the square image spans, in degrees.
    """

    height: float
    pitch: float
    view: float


@dataclass(frozen=True, slots=True)
class Solid:
    """One object on the floor.

    Attributes:
        kind: one of `KINDS`.
        color: a name of `palette.COLORS`.
        rgb: the shade of that color.
        place: (x, z) of its middle, metres.
        size: half its width, its height and half its depth, metres; of round ones width and depth are the same.
        turn: about the upright axis, degrees.
        texture: `plain`, `stripes`, `checks` or `specks`.
    """

    kind: str
    color: str
    rgb: RGB
    place: tuple[float, float]
    size: tuple[float, float, float]
    turn: float
    texture: str


@dataclass(frozen=True, slots=True)
class Surface:
    """A floor, a wall or a sky: two colors, the length of its pattern in metres, and a name of the textures of `Solid`."""

    colors: tuple[RGB, RGB]
    period: float
    texture: str


@dataclass(frozen=True, slots=True)
class SolidScene:
    """A scene.

    Attributes:
        camera: that sees it.
        room: half the width, the height, and how far the back wall stands, in metres; None: an open plane.
        floor, wall: their look; on a plane the colors of `wall` are those of the sky.
        light: direction to the sun on a plane, the place of the lamp in a room.
        ambient: share of the light that shadow does not take.
        solids: the objects.
        seed: of the camera's noise and of specks.
        noise: standard deviation of the camera's noise, 0..255 scale.
    """

    camera: Camera
    room: tuple[float, float, float] | None
    floor: Surface
    wall: Surface
    light: tuple[float, float, float]
    ambient: float
    solids: tuple[Solid, ...]
    seed: int
    noise: float
