"""The metric card of `idiff evaluate`: the figures, and all that is needed to get them again."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from idiff._version import __version__
from idiff.callbacks.benchmark import Benchmark
from idiff.callbacks.scoring import Score
from idiff.evaluation.clip_metrics import reasons
from idiff.metrics.bootstrap import LEVEL
from idiff.models.io.checkpoint import Loaded
from idiff.tasks.saved import TaskChoice
from idiff.utils.files import write_atomic
from idiff.utils.foreign import read_json

PACKAGES = ("torch", "lightning", "diffusers", "transformers", "torchmetrics", "numpy")

SCORED = {"joints": "score", "whole": "whole", "crop": "crop", "cap": "cap", "min_depth": "min_depth"}
"""What a card says of how its task was scored, and the task's own name for it."""


def card_of(
    loaded: Loaded,
    choice: TaskChoice,
    score: Score,
    *,
    evaluate: Benchmark,
    absent: Mapping[str, str],
    seed: int,
    data: str,
    fingerprint: str,
    minutes: float,
) -> dict[str, Any]:
    """The card as plain values.

    Args:
        loaded: the model.
        choice: the task, sampled as it was scored.
        score: the figures.
        evaluate: what scored; it kept the seconds and the evaluations.
        absent: see `clip_metrics`.
        seed: of the images and the resamples.
        data: folder of the shards.
        fingerprint: of the shards.
        minutes: that the measurement took.
    """
    sampling, settings = choice.sampling.under(loaded.backbone.objective.rule), choice.settings
    metrics = without_nan(score.metrics) | dict.fromkeys(absent)
    return {
        "task": choice.name,
        "metrics": metrics,
        "null": reasons(metrics, {**score.reasons, **absent}),
        "intervals": score.intervals,
        "bootstrap": {"resamples": evaluate.resamples, "level": LEVEL, "unit": "picture"},
        "ceiling": without_nan(score.ceiling),
        "painted": without_nan(score.painted),
        "identity": without_nan(score.identity),
        "guess": {"name": score.baseline_name, **without_nan(score.baseline)},
        "samples": score.samples,
        "queries": score.queries,
        "asked": score.asked,
        "phrasings": settings.get("phrasings") or "those of the data",
        "prompts": {"split": score.split, "cut": loaded.backbone.text.truncated},
        "steps": sampling.steps,
        "evaluations_per_query": evaluate.evaluations[choice.name],
        "seconds_per_query": evaluate.seconds[choice.name] / max(score.queries, 1),
        "minutes": minutes,
        "decoder": settings.get("decoder") or "its own",
        "scored": {name: settings[key] for name, key in SCORED.items() if key in settings},
        "guidance": {key: value for key, value in asdict(sampling).items() if key not in {"steps", "preset"}},
        "preset": choice.preset is not None and choice.preset.over(sampling) == sampling,
        "seed": seed,
        "checkpoint": {"name": loaded.name, "sha256": loaded.sha256, "step": loaded.step},
        "data": {"path": data, "fingerprint": fingerprint},
        "versions": {"idiff": __version__, "python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
    }


def write_card(card: Mapping[str, Any], out: Path) -> None:
    """Write a card, whole or not at all."""
    write_atomic(out, json.dumps(card, indent=2) + "\n")


def loses_nothing(out: Path) -> bool:
    """Whether a card may be written there: no file has that name, or an empty one, or a card."""
    if not out.is_file() or not out.stat().st_size:
        return True
    try:
        return "metrics" in read_json(out)
    except (OSError, ValueError, TypeError):
        return False


def without_nan(values: Mapping[str, float]) -> dict[str, float | None]:
    """Metrics for JSON, which knows no nan: a metric of nothing is None."""
    return {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124
