"""Class paths that configurations and checkpoints of earlier versions name, and where the classes are today."""

from __future__ import annotations

from typing import Any

MOVED = {
    "idiff.data.captioned": "idiff.tasks.captioned",
    "idiff.data.quality.features": "idiff.curation.quality.features",
    "idiff.data.training": "idiff.data.loading.training",
    "idiff.models.goal": "idiff.models.objective",
}
"""Old module -> new module."""


def current(class_path: str) -> str:
    """The class path that holds today."""
    module, dot, name = class_path.rpartition(".")
    return f"{MOVED.get(module, module)}{dot}{name}"


def modernised(value: Any) -> Any:
    """A configuration with every `class_path` as it is today; anything else is left alone."""
    if isinstance(value, dict):
        return {
            key: current(item) if key == "class_path" and isinstance(item, str) else modernised(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [modernised(item) for item in value]
    return value
