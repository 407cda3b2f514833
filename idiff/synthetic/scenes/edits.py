"""Change one object of a scene, and say so in a sentence that fits one object only.

An edit is a changed copy of the description: drawing it again changes the edited pixels and no other. What a sentence
does not tell (shade, light, stripes, turn of a new object) is the same for every new object, so that there is one
answer to each sentence.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from idiff.synthetic.drawing.description import Point, Scene, SceneObject
from idiff.synthetic.drawing.palette import COLORS, RGB, SHADES, distance, from_hsv
from idiff.synthetic.drawing.raster import silhouette
from idiff.synthetic.scenes.layout import GRID, MIN_VISIBLE, inside, visible_shares
from idiff.tasks.common.scene_captions import PLACES
from idiff.tasks.instructions.bank import builtin
from idiff.utils.silhouettes import KINDS

SLOTS: Mapping[str, frozenset[str]] = {
    "recolour": frozenset({"object", "color"}),
    "remove": frozenset({"object"}),
    "add": frozenset({"thing", "place"}),
    "replace": frozenset({"object", "thing"}),
    "move": frozenset({"object", "place"}),
}
"""Operation -> the slots of its sentences."""

_NEW_SHARE = 0.05
_APART = 85.0  # least distance in RGB of a new color from what lies around it
_MOVED = 0.25  # least way of a moved object, as a share of the side
_NEW_LIGHT = (225.0, 0.1)


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of a scene.

    Attributes:
        operation: a key of `SLOTS`.
        scene: the changed scene.
        words: what stands in the slots of the sentence.
    """

    operation: str
    scene: Scene
    words: Mapping[str, str]


def draw_edit(scene: Scene, rng: np.random.Generator) -> Edit | None:
    """Draw one edit: each operation is tried first equally often; None where none is possible.

    Args:
        scene: objects alone; figures stay as they are and are not named.
        rng: draws operation, object and what becomes of it.
    """
    operations = list(_OPERATIONS.values())
    for index in rng.permutation(len(operations)).tolist():
        edit: Edit | None = operations[index](scene, rng)
        if edit is not None:
            return edit
    return None


def sentence(edit: Edit, rng: np.random.Generator) -> str:
    """Ask for an edit in one of the ways of `tasks/instructions/edits.txt`."""
    ways = templates()[edit.operation]
    words = {
        "color" if name == "colour" else name: word for name, word in edit.words.items()
    }  # shards keep the old key
    return ways[int(rng.integers(len(ways)))].format(**words)


@cache
def templates() -> Mapping[str, Sequence[str]]:
    """Operation -> its sentences, with slots."""
    found: dict[str, list[str]] = {operation: [] for operation in SLOTS}
    for line in builtin("edits.txt").splitlines():
        if line and not line.startswith("#"):
            operation, _, words = line.partition(": ")
            slots = sorted(name for _, name, _, _ in string.Formatter().parse(words) if name is not None)
            assert slots == sorted(SLOTS[operation]), f"edits.txt: {line!r} has the slots {slots}"
            found[operation].append(words)
    return found


def name_of(thing: SceneObject) -> str:
    """What an object is called: its color and its kind."""
    return f"{thing.color} {thing.kind}"


def typical(color: str) -> RGB:
    """The middle shade of a named color, which new objects have."""
    hue, saturation, value = (sum(span) / 2 for span in SHADES[color])
    return from_hsv(hue, saturation, value)


def _recolour(scene: Scene, rng: np.random.Generator) -> Edit | None:
    for order in _nameable(scene, rng):
        thing = _object(scene, order)
        for color in _colors(scene, rng, thing.rgb):
            if f"{color} {thing.kind}" not in _names(scene):
                new = replace(thing, color=color, rgb=typical(color))
                return Edit("recolour", _with(scene, order, new), {"object": name_of(thing), "colour": color})
    return None


def _remove(scene: Scene, rng: np.random.Generator) -> Edit | None:
    for order in _nameable(scene, rng):
        things = scene.things[:order] + scene.things[order + 1 :]
        return Edit("remove", replace(scene, things=things), {"object": name_of(_object(scene, order))})
    return None


def _add(scene: Scene, rng: np.random.Generator) -> Edit | None:
    for place in _shuffled(list(PLACES), rng):
        thing = _new(scene, rng, centre=PLACES[place], share=_NEW_SHARE)
        if thing is not None and _free(scene, thing):
            words = {"thing": _with_article(name_of(thing)), "place": place}
            return Edit("add", replace(scene, things=(*scene.things, thing)), words)
    return None


def _replace(scene: Scene, rng: np.random.Generator) -> Edit | None:
    for order in _nameable(scene, rng):
        thing = _object(scene, order)
        new = _new(scene, rng, centre=thing.centre, share=thing.share)
        if new is not None and new.kind != thing.kind:
            changed = _with(scene, order, new)
            masks = [silhouette(each, GRID) for each in changed.things]
            if inside(new) and min(visible_shares(masks)) >= MIN_VISIBLE + 0.02:
                return Edit("replace", changed, {"object": name_of(thing), "thing": _with_article(name_of(new))})
    return None


def _move(scene: Scene, rng: np.random.Generator) -> Edit | None:
    for order in _nameable(scene, rng):
        thing = _object(scene, order)
        rest = replace(scene, things=scene.things[:order] + scene.things[order + 1 :])
        for place in _shuffled(list(PLACES), rng):
            new = replace(thing, centre=PLACES[place])
            way = np.subtract(new.centre, thing.centre)
            if float(np.abs(way).max()) >= _MOVED and _free(rest, new):
                return Edit("move", _with(scene, order, new), {"object": name_of(thing), "place": place})
    return None


_OPERATIONS: Mapping[str, Callable[[Scene, np.random.Generator], Edit | None]] = {
    "recolour": _recolour, "remove": _remove, "add": _add, "replace": _replace, "move": _move,
}  # fmt: skip


def _nameable(scene: Scene, rng: np.random.Generator) -> list[int]:
    """Places of the objects whose color and kind no other object shares, in random order."""
    counts = Counter(_names(scene))
    orders = [
        order
        for order, thing in enumerate(scene.things)
        if isinstance(thing, SceneObject) and counts[name_of(thing)] == 1
    ]
    return [orders[index] for index in rng.permutation(len(orders))]


def _names(scene: Scene) -> list[str]:
    return [name_of(thing) for thing in scene.things if isinstance(thing, SceneObject)]


def _object(scene: Scene, order: int) -> SceneObject:
    thing = scene.things[order]
    assert isinstance(thing, SceneObject)
    return thing


def _with(scene: Scene, order: int, thing: SceneObject) -> Scene:
    return replace(scene, things=(*scene.things[:order], thing, *scene.things[order + 1 :]))


def _new(scene: Scene, rng: np.random.Generator, *, centre: Point, share: float) -> SceneObject | None:
    """An upright object that the scene does not have yet; None where no color stands out."""
    kind = KINDS[int(rng.integers(len(KINDS)))]
    for color in _colors(scene, rng):
        if f"{color} {kind}" not in _names(scene):
            return SceneObject(kind, color, typical(color), centre, share, 0.0, False, _NEW_LIGHT, 0)
    return None


def _colors(scene: Scene, rng: np.random.Generator, *others: RGB) -> list[str]:
    """The colors that stand out from the background and from others, in random order."""
    around = (*scene.background.colors, *others)
    return [
        color
        for color in _shuffled(list(COLORS), rng)
        if min(distance(typical(color), other) for other in around) >= _APART
    ]


def _free(scene: Scene, thing: SceneObject) -> bool:
    """Whether an object would lie in the image and touch nothing there, so that no order of depth needs telling."""
    if not inside(thing):
        return False
    mask = silhouette(thing, GRID)
    return not any(bool((mask & silhouette(other, GRID)).any()) for other in scene.things)


def _shuffled(words: list[str], rng: np.random.Generator) -> list[str]:
    return [words[index] for index in rng.permutation(len(words))]


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
