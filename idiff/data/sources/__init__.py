"""The raw data sets by name. A source's module is imported only when it is used.

A new source is one module and one entry of `SOURCES`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from idiff.data.sources.base import RawSample, Source
from idiff.errors import ConfigError, unknown

__all__ = ["SOURCES", "RawSample", "Source", "SourceEntry", "create"]


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """Where a source lives and what it expects.

    Attributes:
        target: `module:class`.
        layout: the files it reads, for `idiff data sources`.
        required: constructor arguments that must be given.
        optional: constructor arguments that may be given.
    """

    target: str
    layout: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


SOURCES: Mapping[str, SourceEntry] = {
    "coco-keypoints": SourceEntry(
        "idiff.data.sources.coco_keypoints:CocoKeypoints",
        "annotations/person_keypoints_{split}*.json (or annotations/*keypoints*{split}*.json, or --annotations FILE)\n"
        "images/{split}/, {split}/, images/{split}2017/ or {split}2017/ (or --images DIR)\n"
        "categories may have any list of joints",
        ("root", "split"),
        ("annotations", "images"),
    ),
    "coco-stuff": SourceEntry(
        "idiff.data.sources.coco_stuff:CocoStuff",
        "images/{split}/{id}.jpg or .png\n"
        "annotations/{split}/{id}.png: 8-bit label maps, 255 = void\n"
        "labels.txt: a line `id: name` for each class; where `0: unlabeled` is first, PNG values are id - 1\n"
        "--fold FILE maps labels to fewer ones: a line `name: label, label, ...` for each",
        ("root", "split"),
        ("fold",),
    ),
    "synthetic": SourceEntry(
        "idiff.data.sources.synthetic:SyntheticSource",
        "no files: scenes are drawn; --size pixels a side (64)\n"
        "--task segmentation, referring, keypoints, denoise, deblur, dewatermark or editing",
        ("task", "split", "count", "seed"),
        ("size",),
    ),
}


def create(name: str, options: Mapping[str, Any]) -> Source:
    """Build a source.

    Args:
        name: a key of `SOURCES`.
        options: constructor arguments by name; None counts as not given.

    Raises:
        ConfigError: an unknown source, an option that it does not take, or one that is missing.
        DataError: its files are not where they should be.
    """
    if name not in SOURCES:
        raise unknown("source", name, SOURCES)
    entry = SOURCES[name]
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in (*entry.required, *entry.optional):
            takes = ", ".join(f"--{word}" for word in (*entry.required, *entry.optional))
            raise ConfigError(f"source {name} takes no --{key}. It takes {takes}.")
    absent = [f"--{key}" for key in entry.required if key not in given]
    if absent:
        raise ConfigError(f"source {name} needs {' and '.join(absent)}. It reads:\n{entry.layout}")
    module, _, cls = entry.target.partition(":")
    return cast(Source, getattr(importlib.import_module(module), cls)(**given))
