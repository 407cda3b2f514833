"""What is in a scene, apart from how it is drawn.

Lengths and positions are shares of the image's side ((0, 0) the upper left corner, (1, 1) the lower right one), so
that one scene can be drawn at any size. Everything is frozen: a changed scene is a copy made by `dataclasses.replace`,
and drawing it again changes only what was changed, because every drawn texture hangs on the part that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from idiff.synthetic.drawing.palette import RGB

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Background:
    """What lies behind everything.

    Attributes:
        family: a name of `backgrounds.FAMILIES`.
        colors: the two colors that the pattern mixes.
        period: length of one repeat of the pattern.
        angle: direction of the pattern in degrees.
        seed: of the pattern's texture and of the camera noise.
        noise: standard deviation of the camera noise, 0..255 scale.
    """

    family: str
    colors: tuple[RGB, RGB]
    period: float
    angle: float
    seed: int
    noise: float


@dataclass(frozen=True, slots=True)
class SceneObject:
    """One object.

    Attributes:
        kind: a name of `shapes.KINDS`.
        color: a name of `palette.COLOURS`.
        rgb: the shade of that color.
        centre: centre of the bounding box of the unrotated shape.
        share: area of the whole silhouette as a share of the image.
        angle: rotation in degrees, clockwise.
        mirrored: flipped left to right before the rotation.
        light: direction of the light in degrees and the strength of the shade across the object.
        stripes: stripes across the object: their count over its width, 0 for none.
    """

    kind: str
    color: str
    rgb: RGB
    centre: Point
    share: float
    angle: float
    mirrored: bool
    light: tuple[float, float]
    stripes: int


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a figure: a thick line with round ends, or a rounded polygon.

    Attributes:
        points: of the line, or corners of the polygon.
        radius: half the line's thickness, or how far the polygon reaches beyond its corners.
        rgb: its color.
        joints: indices of the joints that this part shows.
        closed: fill the polygon.
        outlined: draw a darker rim.
    """

    points: tuple[Point, ...]
    radius: float
    rgb: RGB
    joints: tuple[int, ...] = ()
    closed: bool = False
    outlined: bool = True


@dataclass(frozen=True, slots=True)
class Figure:
    """One person.

    Attributes:
        joints: the joints' positions, in the order of `figures.JOINTS`.
        parts: what is drawn, from the back to the front.
        facing: `front` when the face is seen, `back` when the back of the head is.
    """

    joints: tuple[Point, ...]
    parts: tuple[Part, ...]
    facing: str


Thing: TypeAlias = SceneObject | Figure


@dataclass(frozen=True, slots=True)
class Scene:
    """A background and the things on it, from the back to the front."""

    background: Background
    things: tuple[Thing, ...]
