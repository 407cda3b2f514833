"""How a model's images are sampled, and the names that settings of diffusion may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from idiff.checks import check_choice, check_number, check_there, is_path
from idiff.errors import ConfigError

SamplerName = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m"]
RuleName = Literal["instructdiffusion", "instructpix2pix"]
SpacingName = Literal["trailing", "leading", "linspace"]
PredictionName = Literal["epsilon", "v_prediction", "sample"]
"""Names that settings may have; `idiff.diffusion` holds what each of them stands for."""

OFF: dict[RuleName, float] = {"instructdiffusion": 0.5, "instructpix2pix": 1.0}
"""Rule -> the scale of text and image at which guidance is off; see `idiff.diffusion.branches`."""


def check_sampler(name: str) -> None:
    """Refuse what is neither a known sampler nor the path of one, `module.function`, whose module is there.

    Raises:
        ConfigError: with the nearest name, and all of them.
    """
    if is_path(str(name)):
        check_there("sampler", name)
    else:
        check_choice("sampler", name, SamplerName)


@dataclass
class Sampling:
    """How an image is sampled. `guidance_text` s_T and `guidance_image` s_I as in the model's rule, `objective.rule`; None: off.

    The model alone says which rule holds. `rule` is what the scales were meant for, as older configurations, presets and points
    name it: where it differs from the model's, the settings are refused. With `stop_unchanged`, an example whose first step changes
    the source's latent nowhere by this much (`idiff.models.denoising.changes`) is finished after that step, as where the asked
    class is absent; it takes two steps or more and a source. None: every example takes every step.

    `sampler` may be the path of a function of one's own, `module.function`; see `idiff.diffusion.sample`.

    Raises:
        ConfigError: a name that is unknown, fewer than 1 step, guidance that is not finite, or `stop_unchanged` not above 0.
    """

    steps: int = 4
    guidance_text: float | None = None
    guidance_image: float | None = None
    sampler: SamplerName | str = "ddim"
    rule: RuleName | None = None
    stop_unchanged: float | None = None

    def __post_init__(self) -> None:
        check_number("steps", self.steps, least=1, whole=True)
        for name in ("guidance_text", "guidance_image"):
            check_number(name, getattr(self, name), optional=True)
        check_sampler(self.sampler)
        if self.rule is not None:
            check_choice("rule", self.rule, RuleName)
        check_number("stop_unchanged", self.stop_unchanged, above=0, optional=True)

    def scales(self, rule: RuleName) -> tuple[float, float]:
        """Guidance of text and image under a model's rule.

        Raises:
            ConfigError: the scales are meant for another rule.
        """
        if self.rule not in {None, rule}:
            raise ConfigError(
                f"sampling.rule is '{self.rule}', and the model's objective.rule is '{rule}': leave sampling.rule out, and give "
                f"guidance_text and guidance_image for '{rule}', where {OFF[rule]:g} is off."
            )
        off = OFF[rule]
        return (
            off if self.guidance_text is None else self.guidance_text,
            off if self.guidance_image is None else self.guidance_image,
        )

    def under(self, rule: RuleName) -> Self:
        """A copy with its scales under a model's rule, and the rule's name, written out; see `scales`."""
        text, image = self.scales(rule)
        return replace(self, guidance_text=text, guidance_image=image, rule=rule)
