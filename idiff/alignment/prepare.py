"""What a folder of candidates is made from: which images are asked about, under which settings of guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idiff.alignment.generate import Place, plan
from idiff.data.shards.reader import ShardSet
from idiff.errors import ConfigError
from idiff.evaluation.guidance_settings import facts, guidance_grid, spread
from idiff.models.io.checkpoint import Loaded
from idiff.sampling import Sampling, check_sampler
from idiff.tasks.saved import TaskChoice
from idiff.utils.described import plain


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `generate` is asked for.

    Attributes:
        places: which images.
        settings: one a candidate.
        described: what the folder keeps of it as plain values; a folder goes on where they are the same.
    """

    places: list[Place]
    settings: list[Sampling]
    described: dict[str, Any]


def prepare(
    loaded: Loaded,
    choice: TaskChoice,
    shards: ShardSet,
    *,
    data: str,
    candidates: int,
    seed: int,
    limit: int | None = None,
    text: Sequence[float] | None = None,
    image: Sequence[float] | None = None,
    steps: int | None = None,
    sampler: str | None = None,
) -> Prepared:
    """Plan the candidates of a task.

    Args:
        loaded: the model that paints.
        choice: the task.
        shards: what is asked about.
        data: where they lie, as it was given.
        candidates: images a prompt.
        seed: of the noise.
        limit: images asked about; None: all.
        text: text scales, see `guidance_grid`.
        image: image scales.
        steps: instead of the task's.
        sampler: instead of the task's.

    Raises:
        ConfigError: an unknown sampler, or a model that paints from words alone.
        DataError: no image has an item.
    """
    if sampler is not None:
        check_sampler(sampler)
    if not loaded.backbone.with_source:
        raise ConfigError(f"{loaded.name} paints from words alone: candidates need a model that takes a source.")
    rule = loaded.backbone.objective.rule
    grid = guidance_grid(choice.sampling, rule=rule, text=text, image=image, steps=steps, sampler=sampler)
    settings, places = spread(grid, candidates), plan(shards, choice.task.unit, limit=limit)
    kind = type(choice.task)
    described = {
        "task": choice.name,
        "entry": {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": plain(choice.settings)},
        "checkpoint": {"name": loaded.name, "sha256": loaded.sha256},
        "data": {"path": str(Path(data).resolve()) if Path(data).exists() else data, "fingerprint": shards.fingerprint},
        "candidates": len(settings),
        "grid": [facts(one) for one in grid],
        "seed": seed,
        "samples": len(places),
    }
    return Prepared(places, settings, described)
