"""One person of a sample: joints, box and skeleton, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idiff.errors import BadSampleError, ConfigError, unknown
from idiff.tasks.common.view import ASKED, View, check_picture, needed_words
from idiff.transforms.frames import PersonDraw
from idiff.transforms.geometry import mirrors
from idiff.types import Parts, Picture, Sample
from idiff.utils.painting import class_color, disc_maps
from idiff.utils.seeds import hash64
from idiff.utils.sigmas import TABLES, has_sides
from idiff.utils.strings import name_words

_OTHER_NAMES = {"hand": "wrist", "hands": "wrists", "foot": "ankle", "feet": "ankles"}
"""What people say, and the joint that stands for it."""


@dataclass(frozen=True, slots=True)
class Person:
    """One instance with joints; it may be a face or an animal as well.

    Attributes:
        category: key of the skeleton.
        names: K joint names in words.
        joints: float64 (K, 3): x, y in the original's pixels, visibility (0 not labelled, 1 hidden, 2 visible).
        pairs: indices of left and right joints that change places in a mirror.
        box: x, y, width, height in the original's pixels.
        area: pixels squared, where given.
        category_id: the category's number in the set's own files; 1 (COCO's person) where none is given.
        sigmas: K OKS sigmas.
        entry: what all this was read from.
        suffix: of the keys of its examples.
    """

    category: str
    names: list[str]
    joints: NDArray[np.float64]
    pairs: list[tuple[int, int]]
    box: tuple[float, float, float, float]
    area: float | None
    sigmas: tuple[float, ...]
    category_id: int
    entry: Mapping[str, Any]
    suffix: str = ""

    def facts(self) -> dict[str, Any]:
        """What joints are scored by, as an annotation holds it."""
        return {name: getattr(self, name) for name in ("joints", "box", "area", "sigmas", "names")}

    def drawn(self, draw: PersonDraw) -> PersonDraw:
        """How views of this one vary: never mirrored where no joint is known to be left or right."""
        return draw if has_sides(self.names, self.pairs) else replace(draw, flip=0.0)


def both_sides(who: Person, *, flip_test: bool) -> list[tuple[Person, bool]]:
    """Someone as evaluation sees them: straight; and for the flip test as a mirror shows them. The flag says which.

    In a mirrored view the left wrist is a right wrist, and is asked for as one. Sides are those of the skeleton's pairs; a joint
    in no pair changes the words left and right of its name. The order of the joints stays.
    """
    if not flip_test:
        return [(who, False)]
    other = {left: right for pair in who.pairs for left, right in (pair, pair[::-1])}
    swapped = [
        who.names[other[index]] if index in other else re.sub(r"\b(left|right)\b", _other_side, name)
        for index, name in enumerate(who.names)
    ]
    return [(who, False), (replace(who, names=swapped, pairs=[], suffix="/mirrored"), True)]


def _other_side(match: re.Match[str]) -> str:
    return "right" if match[1] == "left" else "left"


def person(sample: Sample, item: int) -> Person:
    """Read one entry of `annotation["instances"]`.

    Raises:
        BadSampleError: the image, the entry, its skeleton, joints or box are missing or do not fit one another.
    """
    check_picture(sample)
    instances = sample.annotation.get("instances")
    if not isinstance(instances, Sequence) or not 0 <= item < len(instances):
        count = len(instances) if isinstance(instances, Sequence) else "no"
        raise BadSampleError(sample.key, "annotation.instances", f"got {count} instances, expected number {item}")
    where, entry = f"annotation.instances[{item}]", instances[item]
    category = str(entry.get("category", ""))
    skeleton = sample.meta.get("skeletons", {}).get(category)
    if not skeleton or not skeleton.get("joints"):
        known = sorted(sample.meta.get("skeletons", {}))
        raise BadSampleError(sample.key, f"{where}.category", f"got '{category}', expected a skeleton of {known}")
    names = [name_words(name) for name in skeleton["joints"]]
    joints = _floats(entry.get("keypoints"))
    if joints is None or joints.shape != (len(names), 3):
        got = "none" if joints is None else f"shape {joints.shape}"
        raise BadSampleError(sample.key, f"{where}.keypoints", f"got {got}, expected {len(names)} of [x, y, v]")
    box = _floats(entry.get("box"))
    if box is None or box.shape != (4,) or min(box[2:]) < 0 or max(box[2:]) <= 0:
        reason = f"got {entry.get('box')!r}, expected [x, y, width, height] with an extent"
        raise BadSampleError(sample.key, f"{where}.box", reason)
    sigmas = tuple(float(value) for value in skeleton.get("sigmas", ()))
    if len(sigmas) != len(names):
        raise BadSampleError(sample.key, "meta.skeletons", f"got {len(sigmas)} sigmas for {len(names)} joints")
    area = entry.get("area")
    return Person(
        category=category,
        names=names,
        joints=joints,
        pairs=_pairs(sample.key, skeleton.get("pairs", ()), len(names)),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        area=None if area is None else float(area),
        sigmas=sigmas,
        category_id=int(entry.get("category_id", 1)),
        entry=entry,
    )


def joint_words(name: str) -> str:
    """The name of a joint as a person's words are understood: a hand is its wrist, a foot its ankle."""
    words = name_words(name).split()
    return " ".join([*words[:-1], *(_OTHER_NAMES.get(word, word) for word in words[-1:])])


def asked_person(picture: Picture, text: str) -> Sample:
    """A sample that asks for joints, commas between their names, of the one person that fills the image.

    Raises:
        ConfigError: the text names no joint.
    """
    names = re.split(r",|;|\band\b", name_words(needed_words(text)))
    words = [*dict.fromkeys(joint_words(name) for name in names if name.strip())]
    if not words:
        raise ConfigError(f"'{text}' names no joint: expected names with commas between, such as left wrist, neck.")
    skeleton = {"joints": words, "pairs": [], "sigmas": [0.05] * len(words)}
    one = {"category": "person", "keypoints": [[0, 0, 0]] * len(words), "box": [0, 0, *picture.shape[1::-1]]}
    return Sample(ASKED, picture, {"instances": [one]}, meta={"skeletons": {"person": skeleton}})


def image_id(sample: Sample) -> int:
    """The image's number in the set's own files; where it has none, a number made of its key."""
    number = sample.annotation.get("image_id")
    return number if isinstance(number, int) else hash64("image", sample.key) >> 11  # fits a double, as in JSON


def swap_sides(joints: NDArray[np.float64], pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """Let left and right joints change places, as in a mirrored image: (K, 3) to (K, 3)."""
    order = np.arange(len(joints))
    for left, right in pairs:
        order[left], order[right] = right, left
    return joints[order]


def joints_in(who: Person, view: View) -> NDArray[np.float64]:
    """Joints in the pixels of a view that has their points: (K, 3), sides swapped in a mirror.

    Visibility is -1 where a labelled joint lies outside; joints without a label lie nowhere.
    """
    assert view.points is not None
    joints, (height, width) = np.column_stack([view.points, who.joints[:, 2]]), view.size
    within = ((joints[:, :2] >= -0.5) & (joints[:, :2] < np.array([width, height]) - 0.5)).all(axis=1)
    joints[~within & (joints[:, 2] > 0), 2] = -1
    return swap_sides(joints, who.pairs) if mirrors(view.matrix) else joints


def fills(box: Sequence[float], picture: Picture) -> bool:
    """Whether a box is all of an image."""
    height, width = picture.shape[:2]
    return box[0] <= 0 and box[1] <= 0 and box[0] + box[2] >= width and box[1] + box[3] >= height


def check_scored(which: str) -> str:
    """Return which joints are scored.

    Raises:
        ConfigError: neither `all` nor the name of a known set of joints.
    """
    if which != "all" and which not in TABLES:
        raise unknown("set of scored joints", which, ["all", *TABLES])
    return which


def scored_joints(annotation: Mapping[str, Any], which: str) -> NDArray[np.float64]:
    """The true joints (K, 3); those that are not scored have visibility 0, as joints without a label do.

    Args:
        annotation: `joints` (K, 3) and their K `names`.
        which: `all`, or a set of joints of `idiff.utils.sigmas`, whose names are scored.
    """
    joints = np.array(annotation["joints"], dtype=np.float64)
    if which != "all":
        joints[[name not in TABLES[which] for name in annotation["names"]], 2] = 0
    return joints


def named_joints(names: Sequence[str], joints: NDArray[np.float64], size: tuple[int, int], *, radius: float) -> Parts:
    """Every joint in sight as a disc with its name, the rest as background.

    Args:
        names: K of them.
        joints: (K, 3) in the model's pixels.
        size: (height, width) of the model's image.
        radius: of a disc, in pixels.
    """
    labels = torch.full(size, len(names), dtype=torch.uint8)
    for index, disc in enumerate(disc_maps(joints[:, :2], size, radius)):
        if joints[index, 2] == 2:
            labels[disc] = index
    return Parts(labels, [*names, "background"])


def draw_joints(picture: Picture, keypoints: Tensor) -> Picture:
    """Draw each joint of (K, 3) that was found as a dot in its own color: uint8 (H, W, 3), a new image."""
    drawn, radius = picture.copy(), max(2, round(max(picture.shape[:2]) / 64))
    for index, (x, y, _) in enumerate(keypoints.tolist()):
        if math.isfinite(x) and math.isfinite(y):
            cv2.circle(drawn, (round(x), round(y)), radius + 1, (0, 0, 0), -1, cv2.LINE_AA)
            cv2.circle(drawn, (round(x), round(y)), radius, class_color(index), -1, cv2.LINE_AA)
    return drawn


def _pairs(key: str, pairs: Any, count: int) -> list[tuple[int, int]]:
    checked = [(int(left), int(right)) for left, right in pairs]
    if not all(0 <= index < count for pair in checked for index in pair):
        raise BadSampleError(key, "meta.skeletons", f"got the pairs {checked}, expected indices of {count} joints")
    return checked


def _floats(value: Any) -> NDArray[np.float64] | None:
    """An array of finite numbers, or None where it is none."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return array if np.isfinite(array).all() else None
