"""How a model is asked: what may differ from one question to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from idiff.checks import check_number
from idiff.errors import ConfigError
from idiff.sampling import Sampling


@dataclass(frozen=True, slots=True)
class AskSettings:
    """Settings of a question. None: as the task's preset or its training says.

    Attributes:
        steps: sampling steps.
        seed: of the sampled images.
        guidance_text, guidance_image: see `idiff.sampling.Sampling`.
        size: side of the square that the model looks at, in pixels; at another than that of its training it is less certain.

    Raises:
        ConfigError: a number is out of its range.
    """

    steps: int | None = None
    seed: int = 0
    guidance_text: float | None = None
    guidance_image: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check_number("seed", self.seed, least=0, whole=True)
        check_number("size", self.size, least=1, whole=True, optional=True)
        self.over(Sampling())

    def fitting(self, factor: int) -> Self:
        """The same, where the size is a multiple of the autoencoder's factor.

        Raises:
            ConfigError: it is not.
        """
        if self.size is not None and self.size % factor:
            raise ConfigError(f"the size is {self.size}: expected a multiple of {factor} pixels.")
        return self

    def changes(self) -> dict[str, Any]:
        """Arguments of the task that are set anew."""
        return {} if self.size is None else {"size": self.size}

    def over(self, sampling: Sampling) -> Sampling:
        """How images are sampled where these settings go over the task's own."""
        given = {name: getattr(self, name) for name in ("steps", "guidance_text", "guidance_image")}
        changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return replace(sampling, **changed)
