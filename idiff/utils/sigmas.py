"""Object keypoint similarity: how far each joint may be off, by the name of the joint.

Sources: COCO keypoint evaluation (pycocotools), CrowdPose evaluation API, AP-10K (its evaluation in MMPose).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from idiff.errors import ConfigError, unknown

DEFAULT = 0.05
"""For joints that no table names."""

_SIDED = {
    "coco": {
        "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107,
        "knee": 0.087, "ankle": 0.089,
    },
    "crowdpose": {
        "head": 0.079, "neck": 0.079, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062, "hip": 0.107, "knee": 0.087,
        "ankle": 0.089,
    },
    "ap10k": {
        "nose": 0.026, "eye": 0.025, "neck": 0.035, "root of tail": 0.035, "shoulder": 0.079, "elbow": 0.072,
        "front paw": 0.062, "hip": 0.107, "knee": 0.087, "back paw": 0.089,
    },
}  # fmt: skip
_SINGLE = {"nose", "head", "neck", "root of tail"}

UNPAIRED = 3
"""So many joints may have no left and right."""

_SIDE_WORDS = {"left", "right", "l", "r"}


def _table(kind: str) -> dict[str, float]:
    """Spell out left and right."""
    return {
        name: sigma
        for part, sigma in _SIDED[kind].items()
        for name in ([part] if part in _SINGLE else [f"left {part}", f"right {part}"])
    }


TABLES: Mapping[str, Mapping[str, float]] = {kind: _table(kind) for kind in _SIDED}
"""Kind of joint set -> joint name -> sigma."""


def sigmas_for(joints: Sequence[str], kind: str | None = None) -> list[float]:
    """Find the sigma of each joint.

    Args:
        joints: names in words, such as `left shoulder`, in the order of the data set.
        kind: `coco`, `crowdpose` or `ap10k`; None: the set that has exactly these joints, in any order. Joints of no
            known set get 0.05 each.

    Returns:
        One sigma a joint, to be used as COCO does: k = 2 sigma.

    Raises:
        ConfigError: an unknown kind, or a joint that the kind does not have.
    """
    if kind is None:
        kind = next((name for name, table in TABLES.items() if set(table) == set(joints)), None)
        if kind is None:
            return [DEFAULT] * len(joints)
    if kind not in TABLES:
        raise unknown("set of sigmas", kind, TABLES)
    strange = [joint for joint in joints if joint not in TABLES[kind]]
    if strange:
        raise ConfigError(f"{kind} has no joint '{strange[0]}'. It has: {', '.join(TABLES[kind])}.")
    return [TABLES[kind][joint] for joint in joints]


def one_sided(joints: Sequence[str], pairs: Sequence[Sequence[int]]) -> list[str]:
    """The joints that are left or right by name, and have no partner.

    >>> one_sided(["left eye", "right eye", "nose", "left hand"], [[0, 1]])
    ['left hand']
    """
    paired = {place for pair in pairs for place in pair}
    return [name for place, name in enumerate(joints) if place not in paired and set(name.split()) & _SIDE_WORDS]


def has_sides(joints: Sequence[str], pairs: Sequence[Sequence[int]]) -> bool:
    """Whether an image with these joints may be mirrored: left and right are known, or so few joints hardly have any.

    >>> has_sides(["nose", "tail"], []), has_sides(["a", "b", "c", "d"], []), has_sides(["l", "r", "c", "d"], [[0, 1]])
    (True, False, True)
    >>> has_sides(["left eye", "right eye", "left hand"], [[0, 1]])
    False
    """
    return (bool(pairs) or len(joints) <= UNPAIRED) and not one_sided(joints, pairs)
