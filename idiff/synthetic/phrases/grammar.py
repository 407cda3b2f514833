"""What can truly be said about the objects of a scene: every phrase of a few forms that is true and leaves no doubt.

Positions are the centres of an object's visible pixels as shares of the image's side, sizes are visible areas. A
comparison counts only where it is clear: by `MARGIN` of the side, or by `RATIO` of the area.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from idiff.synthetic.drawing.palette import COLORS
from idiff.synthetic.solids.description import KINDS as SOLIDS
from idiff.utils.silhouettes import KINDS

MARGIN = 0.1
"""How much farther to one side, as a share of the image's side, an object must lie to be said to lie there."""

RATIO = 1.3
"""How many times as large, by visible area, the largest object must be as the next one."""

_PLURALS = {"cross": "crosses", "fish": "fish", "box": "boxes"}

_NAMES = (*KINDS, *SOLIDS)


@dataclass(frozen=True, slots=True)
class Seen:
    """What phrases speak of: an object's kind and color, visible area in pixels, centre (x, y) in shares of the side."""

    kind: str
    color: str
    area: int
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words and what they mean.

    Attributes:
        text: such as `the largest red star`.
        form: a key of `FORMS` or `NO_TARGET`.
        targets: indices of the named objects, ascending; none where nothing fits.
        pairs: the (kind, color) pairs that the words name together.
    """

    text: str
    form: str
    targets: tuple[int, ...]
    pairs: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Words:
    """A kind, a color, both, or just `object`; None stands for any."""

    kind: str | None = None
    color: str | None = None

    def text(self, *, plural: bool = False) -> str:
        """`red star`, `stars`, `red objects`."""
        noun = self.kind or "object"
        if plural:
            noun = _PLURALS.get(noun, f"{noun}s")
        return f"{self.color} {noun}" if self.color else noun

    def fitting(self, things: Sequence[Seen]) -> list[int]:
        """Which things the words fit, ascending."""
        return [
            index
            for index, thing in enumerate(things)
            if self.kind in {None, thing.kind} and self.color in {None, thing.color}
        ]

    def pairs(self) -> frozenset[tuple[str, str]]:
        """The pair that is named, where both are."""
        return frozenset({(self.kind, self.color)}) if self.kind and self.color else frozenset()


def held_out(kind: str, color: str) -> bool:
    """Whether training never names this pair together, though such objects occur.

    One color of each kind is held out, a twelfth of all pairs, and each color for one kind or two, so that every kind
    and every color is learnt.

    Args:
        kind: of a flat object or of a solid.
        color: one of `COLORS`.
    """
    return (5 * _NAMES.index(kind) + COLORS.index(color)) % len(COLORS) == 0


def phrases(things: Sequence[Seen], form: str) -> list[Phrase]:
    """All phrases of one form that can be said about a scene, each text once.

    Args:
        things: the objects of the scene.
        form: a key of `FORMS` or `NO_TARGET`.
    """
    made = {**FORMS, **NO_TARGET}[form](things)
    return list({text: Phrase(text, form, tuple(targets), pairs) for text, targets, pairs in made}.values())


_Made = Iterator[tuple[str, list[int], frozenset[tuple[str, str]]]]


def _known(things: Sequence[Seen]) -> list[Words]:
    """All words that fit something in the scene, in a fixed order."""
    every = [(Words(t.kind, t.color), Words(t.kind), Words(None, t.color), Words()) for t in things]
    return list(dict.fromkeys(words for column in zip(*every, strict=True) for words in column))


def _unique(things: Sequence[Seen]) -> list[tuple[Words, int]]:
    """Words with a kind that fit one object alone, and its index."""
    found = [(words, words.fitting(things)) for words in _known(things) if words.kind]
    return [(words, fitting[0]) for words, fitting in found if len(fitting) == 1]


def _by_name(things: Sequence[Seen]) -> _Made:
    for words, index in _unique(things):
        yield f"the {words.text()}", [index], words.pairs()


def _by_size(things: Sequence[Seen]) -> _Made:
    for words in _known(things):
        order = sorted(words.fitting(things), key=lambda index: things[index].area)
        if len(order) < 2:
            continue
        for word, first, second in (("smallest", order[0], order[1]), ("largest", order[-1], order[-2])):
            low, high = sorted((things[first].area, things[second].area))
            if high >= RATIO * low:
                yield f"the {word} {words.text()}", [first], words.pairs()


def _by_place(things: Sequence[Seen]) -> _Made:
    """`at the top` and `at the bottom` also need the object to lie in that half of the image."""
    for words in _known(things):
        fitting = words.fitting(things)
        if len(fitting) < 2:
            continue
        noun = words.text()
        for axis, sign, text, half in (
            (0, 1, f"the leftmost {noun}", False),
            (0, -1, f"the rightmost {noun}", False),
            (1, 1, f"the {noun} at the top", True),
            (1, -1, f"the {noun} at the bottom", True),
        ):
            places = sorted((sign * things[index].centre[axis], index) for index in fitting)
            clear = places[1][0] - places[0][0] >= MARGIN
            if clear and (not half or sign * (things[places[0][1]].centre[axis] - 0.5) < 0):
                yield text, [places[0][1]], words.pairs()


_SIDES = ((0, 1, "to the left of"), (0, -1, "to the right of"), (1, 1, "above"), (1, -1, "below"))


def _relations(things: Sequence[Seen]) -> Iterator[tuple[str, list[tuple[float, int]], frozenset[tuple[str, str]]]]:
    """Each `the A to the left of the B` with one B: how far each A lies to that side of B (negative: to the other)."""
    for landmark, mark in _unique(things):
        for words in _known(things):
            fitting = [index for index in words.fitting(things) if index != mark]
            for axis, sign, side in _SIDES if fitting else ():
                origin = things[mark].centre[axis]
                reach = [(sign * (origin - things[index].centre[axis]), index) for index in fitting]
                text = f"the {words.text()} {side} the {landmark.text()}"
                yield text, reach, words.pairs() | landmark.pairs()


def _by_relation(things: Sequence[Seen]) -> _Made:
    """One object lies clearly there, all others that the words fit lie on the other side."""
    for text, reach, pairs in _relations(things):
        there = [index for far, index in reach if far > 0]
        if len(there) == 1 and max(reach)[0] >= MARGIN:
            yield text, there, pairs


def _all(things: Sequence[Seen]) -> _Made:
    for words in _known(things):
        fitting = words.fitting(things)
        if len(fitting) >= 2 and words != Words():
            yield f"all {words.text(plural=True)}", fitting, words.pairs()
            yield f"every {words.text()}", fitting, words.pairs()


def _both(things: Sequence[Seen]) -> _Made:
    for (one, first), (other, second) in combinations(_unique(things), 2):
        if first != second:
            yield f"the {one.text()} and the {other.text()}", sorted((first, second)), one.pairs() | other.pairs()


def _absent_kind(things: Sequence[Seen]) -> _Made:
    present = {thing.kind for thing in things}
    for kind in SOLIDS if present & set(SOLIDS) else KINDS:
        if kind not in present:
            yield f"the {kind}", [], frozenset()


def _absent_pair(things: Sequence[Seen]) -> _Made:
    """A kind that is there, in a color that it does not have."""
    present = {(thing.kind, thing.color) for thing in things}
    for kind in dict.fromkeys(thing.kind for thing in things):
        for color in COLORS:
            if (kind, color) not in present:
                yield f"the {color} {kind}", [], frozenset({(kind, color)})


def _swapped(things: Sequence[Seen]) -> _Made:
    """The kind of one object and the color of another."""
    colors = {thing.color for thing in things}
    for text, targets, pairs in _absent_pair(things):
        if next(iter(pairs))[1] in colors:
            yield text, targets, pairs


def _false_relation(things: Sequence[Seen]) -> _Made:
    """All objects that the words fit lie clearly on the other side."""
    for text, reach, pairs in _relations(things):
        if max(reach)[0] <= -MARGIN:
            yield text, [], pairs


FORMS: Mapping[str, Callable[[Sequence[Seen]], _Made]] = {
    "name": _by_name,
    "size": _by_size,
    "place": _by_place,
    "relation": _by_relation,
    "all": _all,
    "both": _both,
}
"""Forms of phrase that name one object or several."""

NO_TARGET: Mapping[str, Callable[[Sequence[Seen]], _Made]] = {
    "absent kind": _absent_kind,
    "absent pair": _absent_pair,
    "swapped": _swapped,
    "false relation": _false_relation,
}
"""Forms of phrase that nothing in the scene fits."""
