"""`idiff data stats`: what a set of shards holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idiff.data.shards.reader import ShardSet
from idiff.data.shards.schema import decode_annotation, decode_named, map_names
from idiff.types import void_of
from idiff.utils.picture_files import decode_map, picture_size

VOID = 65535


def stats(shards: ShardSet) -> dict[str, Any]:
    """Count what the shards hold. Images are decoded only where the set is synthetic.

    Returns:
        JSON-able: `source`, `split`, `tasks`, `unit`, `samples`, `items`, `units`, `fingerprint`; `pictures`: smallest,
        median and largest `height` and `width` in pixels; `classes`: name -> `pixel_share` of the pixels that are not
        void, in [0, 1], and number of `pictures`; `void_share`; `instances`: category -> how many; `joints`: category
        -> joint -> how many are `visible`, `hidden` and `unlabelled`; for synthetic sets also `difficulty`;
        `maps`: name -> how many `samples` have it, its `types`, and its `lowest` and `highest` finite value;
        of pairs also `edits` and `degradations`, how many samples of each operation or kind of damage, and
        `targets_resized`, how many targets a build resized to their `source`.

    Raises:
        BadSampleError: a sample that cannot be read.
    """
    contents = shards.manifest
    result: dict[str, Any] = {
        "source": contents.source, "split": contents.split, "tasks": contents.tasks, "unit": contents.unit,
        "samples": contents.samples, "items": contents.items, "units": contents.units,
        "fingerprint": contents.fingerprint,
    }  # fmt: skip
    sizes = np.zeros((len(shards), 2), np.int64)
    pixels, pictures = np.zeros(VOID + 1, np.int64), np.zeros(VOID + 1, np.int64)
    maps: dict[str, dict[str, Any]] = {}
    joints = {
        category: np.zeros((len(skeleton["joints"]), 3), np.int64)
        for category, skeleton in shards.meta.get("skeletons", {}).items()
    }
    instances: Counter[str] = Counter()
    pairs: dict[str, Counter[str]] = {name: Counter() for name in ("edits", "degradations", "targets_resized")}
    for sample in range(len(shards)):
        where = shards.where(sample)
        parts = {suffix.partition(".")[0]: data for suffix, data in shards.read_members(sample).items()}
        sizes[sample] = picture_size(parts["source"], where=where)
        if "label" in parts:
            label = decode_map(parts["label"], where=where, field="label")
            values = np.where(label == void_of(label), VOID, label.astype(np.int64))
            counts = np.bincount(values.ravel(), minlength=VOID + 1)
            pixels += counts
            pictures += counts > 0
        for name in map_names(parts):
            _count_map(decode_named(parts[name], where=where, field=name), maps.setdefault(name, {"samples": 0}))
        annotation = decode_annotation(parts["annotation"], where=where, meta=shards.meta)
        _count_pair(annotation, pairs)
        for instance in annotation.get("instances", []):
            instances[instance.get("category", "")] += 1
            for joint, point in enumerate(instance.get("keypoints", [])):
                joints[instance["category"]][joint, int(point[2])] += 1
    result["pictures"] = {
        side: {"smallest": int(column.min()), "median": float(np.median(column)), "largest": int(column.max())}
        for side, column in (("height", sizes[:, 0]), ("width", sizes[:, 1]))
    }
    result |= {name: dict(sorted(counter.items())) for name, counter in pairs.items() if counter}
    if pixels.any():
        result |= _classes(list(shards.meta.get("classes", [])), pixels, pictures)
    if maps:
        result["maps"] = dict(sorted(maps.items()))
    if instances:
        result["instances"] = dict(instances)
    if joints:
        result["joints"] = {
            category: {
                joint: dict(zip(("unlabelled", "hidden", "visible"), map(int, row), strict=True))
                for joint, row in zip(shards.meta["skeletons"][category]["joints"], table, strict=True)
            }
            for category, table in joints.items()
        }
    if contents.source == "synthetic":
        from idiff.synthetic.scenes.difficulty import difficulty

        result["difficulty"] = difficulty(shards.read(sample) for sample in range(len(shards)))
    return result


def _count_map(values: NDArray[Any], seen: dict[str, Any]) -> None:
    """Count one map of a name in what was seen of it before."""
    seen["samples"] += 1
    seen["types"] = sorted({*seen.get("types", []), str(values.dtype)})
    finite = values[np.isfinite(values)]
    if finite.size:
        low, high = finite.min().item(), finite.max().item()
        seen["lowest"], seen["highest"] = min(low, seen.get("lowest", low)), max(high, seen.get("highest", high))


def _count_pair(annotation: dict[str, Any], pairs: dict[str, Counter[str]]) -> None:
    """Count what is told of a sample that has a target."""
    for name, told, field in (("edits", "edit", "operation"), ("degradations", "degradation", "kind")):
        if isinstance(annotation.get(told), dict):
            pairs[name][str(annotation[told].get(field, ""))] += 1
    if "target_resized_from" in annotation:
        pairs["targets_resized"]["source"] += 1


def _classes(names: list[str], pixels: Any, pictures: Any) -> dict[str, Any]:
    """Shares by class; a value without a name goes by its number."""
    known = max(int(pixels[:VOID].sum()), 1)
    values = range(max(len(names), int(np.flatnonzero(pixels[:VOID]).max(initial=-1)) + 1))
    shares = {
        names[value] if value < len(names) else str(value): {
            "pixel_share": round(int(pixels[value]) / known, 6), "pictures": int(pictures[value])
        }
        for value in values
    }  # fmt: skip
    return {"classes": shares, "void_share": round(int(pixels[VOID]) / int(pixels.sum()), 6)}
