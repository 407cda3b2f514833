"""Whether a model has learned from the set that it is scored on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def trained_on(config: Mapping[str, Any], data: str) -> str:
    """A sentence where a training's configuration names the set as one to learn from; empty where it does not.

    Args:
        config: of the training, as its checkpoint carries it.
        data: folder of shards.
    """
    if Path(data).resolve() not in {Path(one).resolve() for one in _training_sets(config.get("data"))}:
        return ""
    return f"the model was trained on {data}: the score says how well it remembers, not what it can do with new images."


def _training_sets(value: Any) -> Iterator[str]:
    """Every local folder that a `train:` of the data names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "train" and isinstance(inner, str) and "://" not in inner:
                yield inner
            else:
                yield from _training_sets(inner)
