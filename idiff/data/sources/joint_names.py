"""Joint lists as data sets give them, in words: names, and which joints mirror each other."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from idiff.utils.sigmas import sigmas_for
from idiff.utils.strings import name_words

SIDES = {"l": "left", "r": "right", "left": "left", "right": "right", "lft": "left", "rgt": "right"}
_SIDE_AND_NAME = re.compile(r"^([LR])(?=[A-Z][a-z])")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MARKS = re.compile(r"[^\w\s'-]")
_GLUED = (("left", "right"), ("l", "r"))


def joint_words(name: str) -> str:
    """Spell the name of a joint as lower-case words, its side first and in full.

    >>> [joint_words(name) for name in ("l_shoulder", "shoulder_l", "leftShoulder", "LShoulder", "Left-Shoulder", "Shoulder (L)")]
    ['left shoulder', 'left shoulder', 'left shoulder', 'left shoulder', 'left shoulder', 'left shoulder']
    """
    words = name_words(_CAMEL.sub(" ", _SIDE_AND_NAME.sub(r"\1 ", _MARKS.sub(" ", name)))).split()
    sides = [SIDES[word] for word in words if word in SIDES]
    if len(sides) != 1 or len(words) < 2:
        return name_words(name)
    return " ".join([sides[0], *(word for word in words if word not in SIDES)])


def joint_list(names: Sequence[str]) -> list[str]:
    """Spell the joints of one list as `joint_words`; a side without a gap is one where the list has the other side, too.

    >>> joint_list(["lip", "lhip", "rhip", "kneeleft", "kneeright"])
    ['lip', 'left hip', 'right hip', 'left knee', 'right knee']
    """
    plain = {name: name_words(name) for name in names}
    known = set(plain.values())
    return [_unglued(plain[name], known) if joint_words(name) == plain[name] else joint_words(name) for name in names]


def _unglued(name: str, known: Collection[str]) -> str:
    """`lhip` as `left hip` where `rhip` is known; else the name as it is."""
    if set(name.split()) & SIDES.keys():
        return name
    for sides in _GLUED:
        for side, other, word in zip(sides, sides[::-1], ("left", "right"), strict=True):
            rest = name.removeprefix(side)
            if rest not in {"", name} and other + rest in known:
                return f"{word} {rest.strip()}"
            rest = name.removesuffix(side)
            if rest not in {"", name} and rest + other in known:
                return f"{word} {rest.strip()}"
    return name


def mirror_pairs(joints: Sequence[str]) -> list[list[int]]:
    """Find the pairs of indices whose names differ by left and right alone, left first."""
    places = {name: place for place, name in enumerate(joints)}
    pairs = []
    for name, place in places.items():
        words = name.split()
        other = " ".join("right" if word == "left" else word for word in words)
        if words.count("left") == 1 and "right" not in words and other in places:
            pairs.append([place, places[other]])
    return pairs


def skeleton(names: Sequence[str], pairs: Sequence[Sequence[int]] | None = None) -> dict[str, Any]:
    """Describe a category's joints for `Sample.meta["skeletons"]`.

    Args:
        names: joints as the data set writes them.
        pairs: indices of joints that a mirror swaps; None: found by their names.

    Returns:
        `{"joints": [str], "pairs": [[left index, right index]], "sigmas": [float]}`.

    Raises:
        ValueError: a name twice, an empty name, or a pair that is not two different joints.
    """
    joints = joint_list(names)
    if len(set(joints)) != len(joints):  # two names mean one joint in words: they stay as they are written
        joints = [name_words(name) for name in names]
    if not joints or "" in joints or len(set(joints)) != len(joints):
        raise ValueError(f"joint names {list(names)!r} are empty or not distinct")
    if pairs is None:
        pairs = mirror_pairs(joints)
    flat = [place for pair in pairs for place in pair]
    if any(len(pair) != 2 for pair in pairs) or len(set(flat)) != len(flat) or not set(flat) <= set(range(len(joints))):
        raise ValueError(f"flip_pairs {list(pairs)!r} are not pairs of the {len(joints)} joints (counted from 0)")
    return {"joints": joints, "pairs": [list(pair) for pair in pairs], "sigmas": sigmas_for(joints)}
