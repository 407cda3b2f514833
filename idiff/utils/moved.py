"""Class paths and settings that configurations and checkpoints of earlier versions name, and what they are called today."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MOVED = {
    "idiff.data.captioned": "idiff.tasks.captioned",
    "idiff.data.quality.features": "idiff.curation.quality.features",
    "idiff.data.training": "idiff.data.loading.training",
    "idiff.metrics.calibration": "idiff.metrics.calibration_error",
    "idiff.models.goal": "idiff.models.objective",
    "idiff.stages.text": "idiff.stages.text_encoder",
}
"""Old module -> new module."""

RENAMED = {
    "classes_a_prompt": "classes_per_prompt",
    "recognition_weight": "auxiliary_loss_weight",
}
"""Old setting -> new setting, of names that mean nothing else anywhere."""

RULE = "the setting sampling.rule is no longer needed: the model's objective.rule holds, and one that differs from it is refused"


def current(class_path: str) -> str:
    """The class path that holds today."""
    module, dot, name = class_path.rpartition(".")
    return f"{MOVED.get(module, module)}{dot}{name}"


def modernised(value: Any, notice: Callable[[str], None] = lambda text: None) -> Any:
    """A configuration with every `class_path` and every setting as they are called today; anything else is left alone.

    Args:
        value: plain values.
        notice: called with a sentence for each setting that has another name today.
    """
    if isinstance(value, dict):
        if isinstance(value.get("sampling"), dict) and value["sampling"].get("rule"):
            notice(RULE)
        return {
            modern_name(key, notice): current(item)
            if key == "class_path" and isinstance(item, str)
            else modernised(item, notice)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [modernised(item, notice) for item in value]
    return value


def modern_name(setting: str, notice: Callable[[str], None] = lambda text: None) -> str:
    """What a setting is called today, also behind dots: `data.classes_a_prompt`."""
    before, dot, name = str(setting).rpartition(".")
    if name == "rule" and before.rpartition(".")[2] == "sampling":
        notice(RULE)
    if name not in RENAMED:
        return setting
    notice(f"the setting {name} is called {RENAMED[name]} now; this version still reads the old name")
    return f"{before}{dot}{RENAMED[name]}"
