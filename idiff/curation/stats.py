"""`idiff data stats`: what a set of shards holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from idiff.data.shards.reader import ShardSet
from idiff.data.shards.schema import decode_annotation
from idiff.utils.picture_files import decode_label, picture_size

VOID = 255


def stats(shards: ShardSet) -> dict[str, Any]:
    """Count what the shards hold. Images are decoded only where the set is synthetic.

    Returns:
        JSON-able: `source`, `split`, `tasks`, `unit`, `samples`, `items`, `units`, `fingerprint`; `pictures`: smallest,
        median and largest `height` and `width` in pixels; `classes`: name -> `pixel_share` of the pixels that are not
        void, in [0, 1], and number of `pictures`; `void_share`; `instances`: category -> how many; `joints`: category
        -> joint -> how many are `visible`, `hidden` and `unlabelled`; for synthetic sets also `difficulty`;
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
    pixels, pictures = np.zeros(256, np.int64), np.zeros(256, np.int64)
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
            counts = np.bincount(decode_label(parts["label"], where=where).ravel(), minlength=256)
            pixels += counts
            pictures += counts > 0
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
