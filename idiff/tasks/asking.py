"""How a saved task is asked otherwise than its model says: the options of commands and of `Pipeline`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from idiff.checks import check_number
from idiff.errors import ConfigError, unknown
from idiff.sampling import PRESETS, RuleName, Sampling, check_sampler, named_preset
from idiff.tasks.saved import TaskChoice
from idiff.utils.presets import Preset

STORED, TRAINING = "stored", "training"
NAMES = (*PRESETS, STORED, TRAINING)
"""What a preset may be called: published settings, those that `idiff tune --store` found, or those of the training."""

LEAST_SIZE, MOST_SIZE = 8, 4096
"""Sides in pixels that can be asked for; a larger square takes tens of gigabytes."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Settings that go over those of a saved task; None leaves each as it is.

    Attributes:
        steps, sampler, guidance_text, guidance_image: as in `Sampling`; they go over a preset's.
        size: side of the model's image in pixels; of `frame: native64` the longer side.
        preset: one of `NAMES`; None: what `idiff tune` stored with the model, else what it was trained with.

    Raises:
        ConfigError: a name that is unknown, or a number out of its range.
    """

    steps: int | None = None
    sampler: str | None = None
    guidance_text: float | None = None
    guidance_image: float | None = None
    size: int | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        check_number("steps", self.steps, least=1, whole=True, optional=True)
        check_number("size", self.size, least=LEAST_SIZE, most=MOST_SIZE, whole=True, optional=True)
        for name in ("guidance_text", "guidance_image"):
            check_number(name, getattr(self, name), optional=True)
        if self.sampler is not None:
            check_sampler(self.sampler)
        if self.preset is not None and self.preset not in NAMES:
            raise unknown("preset", self.preset, NAMES)

    @property
    def changes(self) -> dict[str, Any]:
        """Arguments of the task that are set anew."""
        return {} if self.size is None else {"size": self.size}

    def presets(self, stored: Mapping[str, Preset]) -> Mapping[str, Preset]:
        """Which of a model's stored presets count."""
        return stored if self.preset in {None, STORED} else {}

    def over(self, choice: TaskChoice, *, rule: RuleName) -> TaskChoice:
        """The choice, sampled as asked.

        Args:
            choice: restored with `changes` and `presets`.
            rule: the model's guidance rule.

        Raises:
            ConfigError: a stored preset is asked for and the model has none for this task.
        """
        if self.preset == STORED and choice.preset is None:
            raise ConfigError(
                f"preset {STORED}: the model has none for the task '{choice.name}'. `idiff tune --store` finds one; or take "
                f"{', '.join(PRESETS)} or {TRAINING}."
            )
        sampling: Sampling = choice.sampling
        if self.preset in PRESETS:
            made = named_preset(str(self.preset), choice.task.kind, rule=rule)
            sampling = replace(made, stop_unchanged=sampling.stop_unchanged)
        names = ("steps", "sampler", "guidance_text", "guidance_image")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        choice.sampling = replace(sampling, **given)
        return choice
