"""Entries of a COCO key point file, read one by one: what cannot be used is left out by name, the rest stays.

Source: COCO data format (https://cocodataset.org/#format-data). Ids may be text in one list and numbers in the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from idiff.data.sources.entries import EntryError, number, same_id
from idiff.data.sources.joint_names import skeleton

AREA_OF_BOX = 0.53
"""Share of its box that a person fills, where a set has no areas (the convention of CrowdPose's evaluation)."""

MARGIN = 0.15
"""A box that is made of joints is wider than they are by this share on each side, and by `LEAST_MARGIN` pixels at least."""
LEAST_MARGIN = 8.0

_NO = {"0", "0.0", "false", "none", "null", ""}


@dataclass(slots=True)
class Entries:
    """What a file holds.

    Attributes:
        pictures: image id, as 'images' has it -> image.
        instances: image id -> its usable instances, in the file's order.
        left_out: how many instances are not used, by reason.
        faults: a sentence for each entry that is of a wrong form.
        boxes_of_joints: instances whose box had no area and was made of their joints.
        ids_twice: instances that have the id of another one.
    """

    pictures: dict[Any, dict[str, Any]] = field(default_factory=dict)
    instances: dict[Any, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    left_out: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    boxes_of_joints: int = 0
    ids_twice: int = 0


def read_entries(value: Mapping[str, Any]) -> tuple[dict[str, Any], Entries]:
    """Read the three lists of a file.

    Returns:
        Category name -> skeleton; and the entries.

    Raises:
        KeyError, TypeError, ValueError: a list is missing, or the categories or image ids cannot be used.
    """
    for name in ("categories", "images", "annotations"):
        if not isinstance(value[name], list):
            raise TypeError(f"'{name}' is of type {type(value[name]).__name__}, expected a list")
    skeletons, names = _skeletons(value["categories"])
    entries = Entries()
    ids = _pictures(value["images"], entries)
    known: dict[str, tuple[Any, dict[str, Any]]] = {}
    for place, entry in enumerate(value["annotations"]):
        try:
            identity, instance = _instance(entry, place, names, skeletons)
            if same_id(identity) not in ids:
                raise EntryError(
                    "of an image that is not listed",
                    f"{_called(entry, place)} names the image {identity}, which is not in 'images'",
                )
            own = same_id(entry.get("id"))
            if own is not None:
                if known.get(own) == (identity, instance):
                    raise EntryError(
                        "listed twice", f"{_called(entry, place)} is listed twice, the same in every value"
                    )
                entries.ids_twice += own in known
                known.setdefault(own, (identity, instance))
        except EntryError as error:
            entries.left_out[error.reason] += 1
            if str(error):
                entries.faults.append(str(error))
            continue
        entries.boxes_of_joints += "box_from_joints" in instance
        entries.instances[ids[same_id(identity) or ""]].append(instance)
    entries.instances = dict(entries.instances)
    return skeletons, entries


def _skeletons(categories: Sequence[Any]) -> tuple[dict[str, Any], dict[str | None, str]]:
    """Category name -> skeleton; category id as text -> name."""
    skeletons: dict[str, Any] = {}
    names: dict[str | None, str] = {}
    for place, category in enumerate(categories):
        if not isinstance(category, dict):
            raise TypeError(f"categories[{place}] is {category!r:.60}, expected an object with id, name and keypoints")
        joints = category.get("keypoints")
        if not joints:
            continue
        name, identity = category["name"], same_id(category["id"])
        if not isinstance(name, str) or identity is None:
            raise TypeError(f"categories[{place}] has the id {category['id']!r:.60} and the name {name!r:.60}")
        name.encode()
        odd = next((joint for joint in joints if not isinstance(joint, str)), None) if isinstance(joints, list) else 0
        if odd is not None:
            raise TypeError(f"category '{name}': 'keypoints' holds {odd!r:.60}, expected a list with the joints' names")
        names[identity] = name
        skeletons[name] = skeleton(joints, category.get("flip_pairs"))
    if not skeletons:
        raise ValueError("no category has 'keypoints'")
    if len(skeletons) != len(names):
        raise ValueError("two categories have the same name")
    return skeletons, names


def _pictures(images: Sequence[Any], entries: Entries) -> dict[str | None, Any]:
    """Fill in the usable images; id as text -> id. Refuses ids that come twice."""
    ids: dict[str | None, Any] = {}
    for place, picture in enumerate(images):
        identity = picture.get("id") if isinstance(picture, dict) else None
        text, name = same_id(identity), picture.get("file_name") if isinstance(picture, dict) else None
        if text is None:
            entries.faults.append(f"images[{place}]: the id {identity!r:.60} is neither a whole number nor a string")
            continue
        if text in ids:
            raise ValueError(f"two images have the id {text}")
        if not isinstance(name, str) or not name or "\0" in name:
            entries.faults.append(f"image {text}: 'file_name' is {name!r:.60}, expected the name of a file")
            continue
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts:
            entries.faults.append(f"image {text}: the file name {name!r:.80} leads out of the folder of images")
            continue
        key = int(identity) if isinstance(identity, float) else identity
        ids[text] = key
        entries.pictures[key] = picture
    return ids


def _called(entry: Any, place: int) -> str:
    identity = entry.get("id") if isinstance(entry, dict) else None
    return f"annotations[{place}]" if identity is None else f"annotation {str(identity)[:40]}"


def _instance(
    entry: Any, place: int, names: Mapping[str | None, str], skeletons: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """One person or thing, and the id of its image.

    Raises:
        EntryError: it is not used.
    """
    where = _called(entry, place)
    if not isinstance(entry, dict):
        raise EntryError("of a wrong form", f"{where} is {entry!r:.60}, expected an object")
    if str(entry.get("iscrowd", 0)).strip().lower() not in _NO:
        raise EntryError("crowds", "")
    category = names.get(same_id(entry.get("category_id")))
    values = entry.get("keypoints", [])
    if category is None or values == []:
        raise EntryError("without labelled joints", "")
    points = _points(values, where, joints=len(skeletons[category]["joints"]), category=category)
    labelled = sum(point[2] > 0 for point in points)
    if not labelled:
        raise EntryError("without labelled joints", "")
    box, from_joints = _box(entry.get("bbox"), points, where)
    identity = entry.get("id")
    text = same_id(identity)
    named = {"id": int(text)} if text and text.lstrip("-").isdecimal() else {"annotation_id": str(identity)}
    area = number(entry.get("area"))
    given = area is not None and area > 0 and not from_joints
    instance = {
        "category": category, "category_id": entry["category_id"], "keypoints": points, "num_keypoints": labelled,
        "box": box, "area": area if given else box[2] * box[3] * AREA_OF_BOX,
    } | (named if identity is not None else {})  # fmt: skip
    instance |= ({} if given else {"area_from_box": True}) | ({"box_from_joints": True} if from_joints else {})
    return entry.get("image_id"), instance


def _points(values: Any, where: str, *, joints: int, category: str) -> list[list[float]]:
    """[x, y, v] of each joint, from a flat list or one of triples; an unlabelled joint's place may be missing."""
    if isinstance(values, list) and values and all(isinstance(one, list) and len(one) == 3 for one in values):
        values = [part for one in values for part in one]
    if not isinstance(values, list):
        raise EntryError("of a wrong form", f"{where}: 'keypoints' is {values!r:.60}, expected a list of x, y, v")
    if len(values) % 3:
        raise EntryError("of a wrong form", f"{where}: {len(values)} numbers in 'keypoints' are no x, y, v of joints")
    points = []
    for x, y, v in zip(values[::3], values[1::3], values[2::3], strict=True):
        seen = number(v)
        if seen not in {0, 1, 2}:
            hint = (
                f"{len(values)} numbers may be no x, y, v of the {joints} joints of '{category}'"
                if len(values) != 3 * joints
                else "confidences of a pose model have to be turned into these first"
            )
            raise EntryError(
                "of a wrong form",
                f"{where} has the visibility {v!r:.40}: expected 0 (not labelled), 1 (hidden) or 2 (visible); {hint}",
            )
        place = number(x), number(y)
        if None in place and seen:
            raise EntryError(
                "of a wrong form", f"{where}: a joint lies at ({x!r:.40}, {y!r:.40}), expected two numbers"
            )
        points.append([place[0] or 0.0, place[1] or 0.0, int(seen)])
    if len(points) != joints:
        raise EntryError("of a wrong form", f"{where} has {len(points)} joints, its category '{category}' {joints}")
    return points


def _box(value: Any, points: Sequence[Sequence[float]], where: str) -> tuple[list[float], bool]:
    """x, y, width, height; and whether they were made of the joints, because the given box has no area."""
    if value is None or value == []:
        raise EntryError("without a box", "" if value == [] else f"{where}: 'bbox' is missing or null")
    numbers = [number(part) for part in value] if isinstance(value, list) else []
    box = [part for part in numbers if part is not None]
    if len(numbers) != 4 or len(box) != 4:
        raise EntryError("of a wrong form", f"{where}: 'bbox' is {value!r:.80}, expected x, y, width, height")
    if min(box[2:]) > 0:
        return box, False
    return box_of_joints(points), True


def box_of_joints(points: Sequence[Sequence[float]]) -> list[float]:
    """x, y, width, height in pixels around the labelled joints, with a margin."""
    low, high = ([pick(point[axis] for point in points if point[2] > 0) for axis in (0, 1)] for pick in (min, max))
    margin = max(LEAST_MARGIN, MARGIN * max(high[0] - low[0], high[1] - low[1]))
    return [low[0] - margin, low[1] - margin, *(high[axis] - low[axis] + 2 * margin for axis in (0, 1))]
