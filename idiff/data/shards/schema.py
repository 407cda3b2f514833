"""The schema of one sample in a shard: the names of its members, and bytes to `Sample` and back.

    key.source.{jpg,png,webp}   the image, original bytes
    key.annotation.json         facts, canonical JSON
    key.target.{jpg,png,webp}   the given answer, where there is one
    key.label.png               the label map, where there is one
    key.rejected.{jpg,png,webp} an answer that people found worse than the target, where there is one

Reading runs nothing: JSON and images only, never a pickle, never webdataset's decoders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from idiff.data.shards.annotation import canonical_json, parse_json, validate
from idiff.errors import BadSampleError, DataError
from idiff.utils.masks import mask_size
from idiff.utils.picture_files import decode_label, decode_picture, encode_png, picture_format

if TYPE_CHECKING:
    from idiff.data.sources.base import RawSample
    from idiff.types import Labels, Picture, Sample

FORMATS = {
    "source": ("jpg", "png", "webp"),
    "annotation": ("json",),
    "target": ("jpg", "png", "webp"),
    "label": ("png",),
    "rejected": ("jpg", "png", "webp"),
}
"""Role -> file formats. A sample has each role at most once; `REQUIRED` ones always."""

REQUIRED = ("source", "annotation")
MAX_BYTES = {
    "source": 256 << 20,
    "annotation": 16 << 20,
    "target": 256 << 20,
    "label": 64 << 20,
    "rejected": 256 << 20,
}
"""Larger members are refused before they are read."""

MAX_KEY = 80
"""Characters of a key."""

_KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_KEY}}}")


def check_key(key: str, *, where: str) -> str:
    """Refuse keys that could name a file elsewhere or that tar cannot hold.

    Raises:
        DataError: other characters than letters, digits, `_` and `-`, or more than 80.
    """
    if not _KEY.fullmatch(key):
        raise DataError(f"{where}: key {key[:100]!r}: expected 1 to 80 letters, digits, '_' or '-'. Rename the sample.")
    return key


def parse_name(name: str, *, where: str) -> tuple[str, str, str]:
    """Split a member's name into key, role and format.

    Raises:
        DataError: the name is not one of this schema (a pickle, a path, another suffix).
    """
    key, _, suffix = name.removeprefix("./").partition(".")
    role, _, form = suffix.partition(".")
    if form not in FORMATS.get(role, ()):
        known = ", ".join(f"key.{role}.{'|'.join(forms)}" for role, forms in FORMATS.items())
        raise DataError(f"{where}: member {name[:100]!r} is not of this schema. Expected {known}.")
    return check_key(key, where=where), role, form


def decode(members: Mapping[str, bytes], *, key: str, where: str, meta: Mapping[str, Any]) -> Sample:
    """Build a `Sample` from its members.

    Args:
        members: suffix (`source.jpg`, `annotation.json`, ...) -> bytes.
        key: the sample's key.
        where: `shard:key`, for errors.
        meta: the set's facts.

    Raises:
        BadSampleError: a member is missing, damaged, of another type, or of another size than the image.
    """
    from idiff.types import Sample

    parts = {name.partition(".")[0]: data for name, data in members.items()}
    for role in REQUIRED:
        if role not in parts:
            raise BadSampleError(where, role, f"missing, expected a member {key}.{role}.{'|'.join(FORMATS[role])}")
    image = decode_picture(parts["source"], where=where)
    label = decode_label(parts["label"], where=where) if "label" in parts else None
    target, rejected = (
        decode_picture(parts[role], where=where, field=role) if role in parts else None
        for role in ("target", "rejected")
    )
    _check_sizes(image, {"label": label, "target": target, "rejected": rejected}, where=where)
    _check_values(label, where=where, meta=meta)
    annotation = decode_annotation(parts["annotation"], where=where, meta=meta)
    _check_masks(annotation, image, where=where)
    return Sample(key=key, image=image, annotation=annotation, meta=meta, label=label, target=target, rejected=rejected)


def decode_annotation(data: bytes, *, where: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Parse and check an annotation.

    Raises:
        BadSampleError: not UTF-8, not JSON, or a known field of another type or shape.
    """
    try:
        value = parse_json(data)
    except ValueError as error:
        raise BadSampleError(where, "annotation", f"not JSON: {error}") from error
    return validate(value, where=where, meta=meta)


def encode(sample: Sample | RawSample, *, where: str, meta: Mapping[str, Any]) -> dict[str, bytes]:
    """Turn a sample into members, after checking that they can be read back.

    Returns:
        suffix -> bytes. Image files pass through unchanged; arrays become PNG.

    Raises:
        BadSampleError: something in it could not be read back.
        DataError: a key that cannot be a file name.
    """
    check_key(sample.key, where=where)
    try:
        facts = canonical_json(validate(sample.annotation, where=where, meta=meta))
    except (ValueError, TypeError) as error:
        raise BadSampleError(where, "annotation", f"cannot be written as JSON: {error}") from error
    members = {"annotation.json": facts}
    for role, value in (("source", sample.image), ("target", sample.target), ("rejected", sample.rejected)):
        if value is not None:
            data = value if isinstance(value, bytes) else encode_png(value)
            members[f"{role}.{picture_format(data, where=where, field=role)}"] = data
    if sample.label is not None:
        members["label.png"] = sample.label if isinstance(sample.label, bytes) else encode_png(sample.label)
    for name, data in members.items():
        role = name.partition(".")[0]
        if len(data) > MAX_BYTES[role]:
            raise BadSampleError(where, role, f"{len(data):,} bytes, expected at most {MAX_BYTES[role]:,}")
    decode(members, key=sample.key, where=where, meta=meta)
    return members


def _check_sizes(image: Picture, others: Mapping[str, Picture | Labels | None], *, where: str) -> None:
    for role, other in others.items():
        if other is not None and other.shape[:2] != image.shape[:2]:
            got, expected = (f"{shape[1]}x{shape[0]}" for shape in (other.shape, image.shape))
            raise BadSampleError(where, role, f"{got} pixels, expected {expected} as the image has")


def _check_masks(annotation: Mapping[str, Any], image: Picture, *, where: str) -> None:
    """The masks of instances must have the image's size."""
    for place, instance in enumerate(annotation.get("instances", [])):
        if "mask" in instance and mask_size(instance["mask"]) != image.shape[:2]:
            reason = f"the size is {instance['mask']['size']}, expected {list(image.shape[:2])} as the image has"
            raise BadSampleError(where, f"annotation.instances[{place}].mask", reason)


def _check_values(label: Labels | None, *, where: str, meta: Mapping[str, Any]) -> None:
    """Each label must be void or have a name."""
    classes = meta.get("classes")
    if label is None or not classes:
        return
    highest = int(label[label != 255].max(initial=0))
    if highest >= len(classes):
        raise BadSampleError(where, "label", f"value {highest}, expected 0 to {len(classes) - 1} or 255 for void")
