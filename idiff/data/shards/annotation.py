"""Annotations as canonical JSON, and what their known fields must look like."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from idiff.errors import BadSampleError
from idiff.utils.foreign import parse_json
from idiff.utils.masks import check_mask

LISTS = ("instances", "phrases")
"""Annotation lists whose entries are items."""

UNITS = ("picture", *LISTS)
"""What one item can be: the image, or one entry of a list."""


def canonical_json(value: Any) -> bytes:
    """Write JSON whose bytes depend on the value alone: sorted keys, no spaces, UTF-8.

    Raises:
        ValueError: a number that JSON lacks (nan, infinity), or text that is not Unicode.
        TypeError: a value that JSON lacks.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def counts(annotation: Mapping[str, Any]) -> dict[str, int]:
    """Number of items of each of `LISTS`; 0 where the list is absent."""
    return {name: len(annotation.get(name, ())) for name in LISTS}


def validate(annotation: Any, *, where: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Check the type and shape of every field that `Sample.annotation` names. Absent fields and further ones are fine.

    Args:
        annotation: what was parsed.
        where: `shard:key`, for the error.
        meta: the set's facts; a joint list must have the length that its skeleton says.

    Returns:
        The annotation.

    Raises:
        BadSampleError: names the field, what was got and what was expected.
    """
    field = "annotation"
    try:
        if not isinstance(annotation, dict):
            raise _Fault(f"{_kind(annotation)}, expected an object")
        instances = _list(annotation, "instances")
        for place, instance in enumerate(instances):
            field = f"annotation.instances[{place}]"
            _instance(instance, meta.get("skeletons", {}))
        for place, phrase in enumerate(_list(annotation, "phrases")):
            field = f"annotation.phrases[{place}]"
            _phrase(phrase, len(instances))
    except _Fault as fault:
        raise BadSampleError(where, field, str(fault)) from None
    return annotation


class _Fault(Exception):  # noqa: N818 - never leaves this module
    """What is wrong, without the place."""


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null" if value is None else type(value).__name__)


def _list(annotation: Mapping[str, Any], name: str) -> list[Any]:
    value = annotation.get(name, [])
    if not isinstance(value, list):
        raise _Fault(f"'{name}' is {_kind(value)}, expected a list")
    return value


def _numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, Sequence)
        and len(value) == count
        and all(type(number) in {int, float} and math.isfinite(number) for number in value)
    )


def _instance(instance: Any, skeletons: Mapping[str, Any]) -> None:
    if not isinstance(instance, dict):
        raise _Fault(f"{_kind(instance)}, expected an object")
    category = instance.get("category", "")
    if not isinstance(category, str):
        raise _Fault(f"'category' is {_kind(category)}, expected a string")
    if "box" in instance and not (_numbers(instance["box"], 4) and min(instance["box"][2:]) > 0):
        raise _Fault(f"'box' is {instance['box']!r}, expected [x, y, width, height] with a positive size")
    if "area" in instance and not (_numbers([instance["area"]], 1) and instance["area"] >= 0):
        raise _Fault(f"'area' is {instance['area']!r}, expected a number of pixels")
    if "id" in instance and type(instance["id"]) is not int:
        raise _Fault(f"'id' is {_kind(instance['id'])}, expected a whole number")
    if "mask" in instance:
        try:
            check_mask(instance["mask"])
        except ValueError as error:
            raise _Fault(f"'mask': {error}") from None
    if "keypoints" in instance:
        _keypoints(instance["keypoints"], category, skeletons)


def _keypoints(points: Any, category: str, skeletons: Mapping[str, Any]) -> None:
    if not isinstance(points, list) or not all(_numbers(point, 3) and point[2] in {0, 1, 2} for point in points):
        raise _Fault("'keypoints' is not a list of [x, y, v] with v 0, 1 or 2")
    if category not in skeletons:
        raise _Fault(f"has keypoints, but the set has no skeleton for the category '{category}'")
    joints = len(skeletons[category]["joints"])
    if len(points) != joints:
        raise _Fault(f"{len(points)} keypoints, expected {joints} for the category '{category}'")


def _phrase(phrase: Any, instances: int) -> None:
    if not isinstance(phrase, dict) or not isinstance(phrase.get("text"), str):
        raise _Fault("expected an object with the string 'text'")
    targets = phrase.get("instances", [])
    if not isinstance(targets, list) or not all(type(index) is int and 0 <= index < instances for index in targets):
        raise _Fault(f"'instances' is {targets!r}, expected indices of the {instances} instances of this image")


__all__ = ["LISTS", "UNITS", "canonical_json", "counts", "parse_json", "validate"]
