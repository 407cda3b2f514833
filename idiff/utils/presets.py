"""A preset: how a task's images are sampled, found on validation data and kept with the model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from idiff.checks import check_number
from idiff.errors import CheckpointError, ConfigError
from idiff.sampling import Sampling

SETTINGS = ("steps", "guidance_text", "guidance_image", "sampler", "rule")
"""The fields of `Sampling` that a preset sets; it leaves the others as they were."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings of a task, and what they were chosen by.

    Attributes:
        steps, guidance_text, guidance_image, sampler, rule: as in `Sampling`.
        metric: the headline metric they were chosen by.
        score: what it was with them; None where that is not known.
        evaluations: U-Net samples a query costs with them.
        samples: items that were scored.
        data: fingerprint of the shards they come from.

    Raises:
        ConfigError: settings that `Sampling` refuses, or a figure that is not a number.
    """

    steps: int
    guidance_text: float
    guidance_image: float
    sampler: str
    rule: str
    metric: str
    score: float | None
    evaluations: float
    samples: int
    data: str

    def __post_init__(self) -> None:
        self.over(Sampling())
        check_number("score", self.score, optional=True)
        check_number("evaluations", self.evaluations, least=0)
        check_number("samples", self.samples, least=0, whole=True)

    @classmethod
    def of(cls, values: Any, *, origin: str) -> Preset:
        """Read what `describe` wrote.

        Args:
            values: plain values.
            origin: names the file and the task, for errors.

        Raises:
            CheckpointError: a field is missing, unknown, or no value that it can have.
        """
        wrong = _wrong(values)
        try:
            if not wrong:
                return cls(**values)
        except ConfigError as error:
            wrong = str(error).rstrip(".")
        raise CheckpointError(
            f"{origin} is not a preset: {wrong}. Expected what `idiff tune --store` writes: write it again."
        )

    def describe(self) -> dict[str, Any]:
        """Plain values that `of` reads."""
        return asdict(self)

    def over(self, sampling: Sampling) -> Sampling:
        """A copy of `sampling` with the settings of the preset."""
        return replace(sampling, **{name: getattr(self, name) for name in SETTINGS})


def _wrong(values: Any) -> str | None:
    """What keeps plain values from being a preset; None: nothing."""
    fields = dict(Preset.__annotations__)
    if not isinstance(values, dict):
        return f"it is a {type(values).__name__}"
    if values.keys() != fields.keys():
        odd = sorted(values.keys() ^ fields.keys(), key=str)
        return f"{', '.join(map(str, odd))} {'is' if len(odd) == 1 else 'are'} missing or unknown"
    kinds: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}
    for name, kind in fields.items():
        value, (plain, *rest) = values[name], str(kind).split(" | ")
        if value is None and rest:
            continue
        fits = isinstance(value, kinds[plain]) and not isinstance(value, bool)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            return f"{name} is {value!r}, expected {plain}"
    return None
