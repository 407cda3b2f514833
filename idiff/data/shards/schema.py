"""The schema of one sample in a shard: the names of its members, and bytes to `Sample` and back.

    key.source.{jpg,png,webp}   the image, original bytes
    key.annotation.json         facts, canonical JSON
    key.target.{jpg,png,webp}   the given answer, where there is one
    key.label.png               the label map, where there is one
    key.rejected.{jpg,png,webp} an answer that people found worse than the target, where there is one
    key.NAME.{png,npy}          further numbers for each pixel, such as depth: a gray PNG of 8 or 16 bits, or an array

Reading runs nothing: JSON, images and plain numbers only, never a pickle, never webdataset's decoders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from idiff.data.shards.annotation import LISTS, canonical_json, parse_json, validate
from idiff.errors import BadSampleError, DataError
from idiff.types import highest_label, void_of
from idiff.utils.array_files import MAGIC, decode_array, encode_array
from idiff.utils.foreign import decoding
from idiff.utils.masks import mask_size
from idiff.utils.picture_files import PNG, decode_map, decode_picture, encode_png, picture_format

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from idiff.data.sources.base import RawSample
    from idiff.types import Labels, Picture, Sample, WideLabels

FORMATS = {
    "source": ("jpg", "png", "webp"),
    "annotation": ("json",),
    "target": ("jpg", "png", "webp"),
    "label": ("png",),
    "rejected": ("jpg", "png", "webp"),
}
"""Role -> file formats. A sample has each role at most once; `REQUIRED` ones always."""

MAP_FORMATS = ("png", "npy")
"""File formats of a map, whose role is its own name."""

MAX_MAPS = 16
"""Different maps in one shard."""

REQUIRED = ("source", "annotation")
MAX_BYTES = {
    "source": 256 << 20,
    "annotation": 16 << 20,
    "target": 256 << 20,
    "label": 64 << 20,
    "rejected": 256 << 20,
}
MAX_MAP_BYTES = 256 << 20
"""Larger members are refused before they are read."""

LARGEST = max(*MAX_BYTES.values(), MAX_MAP_BYTES)
"""Bytes that no member may have more than."""

MAX_KEY = 80
"""Characters of a key."""

_KEY = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_KEY}}}")
_MAP = re.compile(r"[a-z][a-z0-9_]{0,31}")


def is_map(role: str) -> bool:
    """Whether a member of this role is a map: a name of its own, 1 to 32 lower-case letters, digits and `_`."""
    return _MAP.fullmatch(role) is not None and role not in {*FORMATS, *LISTS, "key", "maps"}


def map_names(roles: Iterable[str]) -> list[str]:
    """Those of some roles that are maps, sorted."""
    return sorted(filter(is_map, roles))


def formats_of(role: str) -> tuple[str, ...]:
    """File formats that a role may have; none where it is not of this schema."""
    return MAP_FORMATS if is_map(role) else FORMATS.get(role, ())


def max_bytes_of(role: str) -> int:
    """The most bytes that a member of this role may have."""
    return MAX_BYTES.get(role, MAX_MAP_BYTES)


def is_key(key: str) -> bool:
    """Whether a key has 1 to 80 letters, digits, `_` and `-`, and nothing else."""
    return _KEY.fullmatch(key) is not None


def check_key(key: str, *, where: str) -> str:
    """Refuse keys that could name a file elsewhere or that tar cannot hold.

    Raises:
        DataError: other characters than letters, digits, `_` and `-`, or more than 80.
    """
    if not is_key(key):
        raise DataError(f"{where}: key {key[:100]!r}: expected 1 to 80 letters, digits, '_' or '-'. Rename the sample.")
    return key


def parse_name(name: str, *, where: str) -> tuple[str, str, str]:
    """Split a member's name into key, role and format.

    Raises:
        DataError: the name is not one of this schema (a pickle, a path, another suffix).
    """
    key, _, suffix = name.removeprefix("./").partition(".")
    role, _, form = suffix.partition(".")
    if form not in formats_of(role):
        known = ", ".join(f"key.{role}.{'|'.join(forms)}" for role, forms in {**FORMATS, "NAME": MAP_FORMATS}.items())
        raise DataError(
            f"{where}: member {name[:100]!r} is not of this schema. Expected {known}. Images with captions (KEY.jpg, KEY.txt) are "
            "read by `idiff data build webdataset --root DIR`."
        )
    return check_key(key, where=where), role, form


def decode(
    members: Mapping[str, bytes], *, key: str, where: str, meta: Mapping[str, Any], intact: bool = False
) -> Sample:
    """Build a `Sample` from its members.

    Args:
        members: suffix (`source.jpg`, `annotation.json`, ...) -> bytes.
        key: the sample's key.
        where: `shard:key`, for errors.
        meta: the set's facts.
        intact: the members' checksums are right, see `decode_picture`.

    Raises:
        BadSampleError: a member is missing, damaged, of another type, or of another size than the image.
    """
    from idiff.types import Sample

    parts = {name.partition(".")[0]: data for name, data in members.items()}
    for role in REQUIRED:
        if role not in parts:
            raise BadSampleError(where, role, f"missing, expected a member {key}.{role}.{'|'.join(FORMATS[role])}")
    image = decode_picture(parts["source"], where=where, intact=intact)
    label = decode_map(parts["label"], where=where, field="label") if "label" in parts else None
    target, rejected = (
        decode_picture(parts[role], where=where, field=role, intact=intact) if role in parts else None
        for role in ("target", "rejected")
    )
    maps = {name: decode_named(parts[name], where=where, field=name) for name in map_names(parts)}
    _check_sizes(image, {"label": label, "target": target, "rejected": rejected, **maps}, where=where)
    annotation = decode_annotation(parts["annotation"], where=where, meta=meta)
    with decoding(lambda reason: BadSampleError(where, "annotation", reason)):
        _check_values(label, where=where, meta=meta)
        _check_masks(annotation, image, where=where)
    return Sample(
        key=key, image=image, annotation=annotation, meta=meta, label=label, target=target, rejected=rejected, maps=maps
    )


def decode_named(data: bytes, *, where: str, field: str) -> NDArray[Any]:
    """Decode a map by its content: see `decode_array` and `decode_map`, which also say the errors.

    Raises:
        BadSampleError: it is neither an NPY nor a PNG, or damaged.
    """
    if not data.startswith((MAGIC, PNG)):
        got = f"starts with {data[:12]!r}" if data else "is empty"
        raise BadSampleError(where, field, f"the file {got}, expected an NPY, or a gray PNG of 8 or 16 bits")
    return (decode_array if data.startswith(MAGIC) else decode_map)(data, where=where, field=field)


def _encode_named(value: bytes | NDArray[Any], *, where: str, field: str) -> tuple[str, bytes]:
    """Format and bytes of a map."""
    if not isinstance(value, bytes):
        as_png = value.ndim == 2 and value.dtype in ("uint8", "uint16") and value.size
        value = encode_png(value) if as_png else encode_array(value, where=where, field=field)
    return "npy" if value.startswith(MAGIC) else "png", value


def decode_annotation(data: bytes, *, where: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """Parse and check an annotation.

    Raises:
        BadSampleError: not UTF-8, not JSON, or a known field of another type or shape.
    """
    with decoding(lambda reason: BadSampleError(where, "annotation", f"not JSON: {reason}")):
        value = parse_json(data)
    with decoding(lambda reason: BadSampleError(where, "annotation", reason)):
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
    for role, value in sample.maps.items():
        if not is_map(role):
            reason = (
                "not a name for a map, expected 1 to 32 lower-case letters, digits or '_' that name no other member"
            )
            raise BadSampleError(where, f"maps[{role[:40]!r}]", reason)
        form, data = _encode_named(value, where=where, field=role)
        members[f"{role}.{form}"] = data
    if len(sample.maps) > MAX_MAPS:
        raise BadSampleError(where, "maps", f"got {len(sample.maps)}, expected at most {MAX_MAPS}")
    for name, data in members.items():
        role = name.partition(".")[0]
        if len(data) > max_bytes_of(role):
            raise BadSampleError(where, role, f"{len(data):,} bytes, expected at most {max_bytes_of(role):,}")
    decode(members, key=sample.key, where=where, meta=meta)
    return members


def _check_sizes(image: Picture, others: Mapping[str, NDArray[Any] | None], *, where: str) -> None:
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


def _check_values(label: Labels | WideLabels | None, *, where: str, meta: Mapping[str, Any]) -> None:
    """Each label must be void or have a name."""
    classes = meta.get("classes")
    if label is None or not classes:
        return
    if (highest := highest_label(label)) >= len(classes):
        reason = f"value {highest}, expected 0 to {len(classes) - 1} or {void_of(label)} for void"
        raise BadSampleError(where, "label", reason)
