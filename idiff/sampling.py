"""How a model's images are sampled, and the names that settings of diffusion may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from idiff.checks import check_choice, check_number, is_path

SamplerName = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m"]
RuleName = Literal["instructdiffusion", "instructpix2pix"]
SpacingName = Literal["trailing", "leading", "linspace"]
PredictionName = Literal["epsilon", "v_prediction", "sample"]
"""Names that settings may have; `idiff.diffusion` holds what each of them stands for."""


def check_sampler(name: str) -> None:
    """Refuse what is neither a known sampler nor the path of one, `module.function`.

    Raises:
        ConfigError: with the nearest name, and all of them.
    """
    if not is_path(str(name)):
        check_choice("sampler", name, SamplerName)


@dataclass
class Sampling:
    """How an image is sampled. `guidance_text` s_T and `guidance_image` s_I as in the rule named by `rule`.

    The default (0.5, 0.5) is guidance off in the rule of InstructDiffusion. With `stop_unchanged`, an example whose first step
    changes the source's latent nowhere by this much (`idiff.models.denoising.changes`) is finished after that step, as where
    the asked class is absent; it takes two steps or more and a source. None: every example takes every step.

    `sampler` may be the path of a function of one's own, `module.function`; see `idiff.diffusion.sample`.

    Raises:
        ConfigError: a name that is unknown, fewer than 1 step, guidance that is not finite, or `stop_unchanged` not above 0.
    """

    steps: int = 4
    guidance_text: float = 0.5
    guidance_image: float = 0.5
    sampler: SamplerName | str = "ddim"
    rule: RuleName = "instructdiffusion"
    stop_unchanged: float | None = None

    def __post_init__(self) -> None:
        check_number("steps", self.steps, least=1, whole=True)
        for name in ("guidance_text", "guidance_image"):
            check_number(name, getattr(self, name))
        check_sampler(self.sampler)
        check_choice("rule", self.rule, RuleName)
        check_number("stop_unchanged", self.stop_unchanged, above=0, optional=True)
