"""How a model's images are sampled, and the names that settings of diffusion may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from idiff.checks import check_choice, check_number, check_there, is_path
from idiff.errors import ConfigError

SamplerName = Literal["ddim", "euler", "euler_ancestral", "dpmpp_2m"]
RuleName = Literal["instructdiffusion", "instructpix2pix"]
SpacingName = Literal["trailing", "leading", "linspace"]
PredictionName = Literal["epsilon", "v_prediction", "sample"]
PresetName = Literal["paper", "quick"]
"""Names that settings may have; `idiff.diffusion` holds what each of them stands for."""

OFF: dict[RuleName, float] = {"instructdiffusion": 0.5, "instructpix2pix": 1.0}
"""Rule -> the scale of text and image at which guidance is off; see `idiff.diffusion.branches`."""

PRESETS: Mapping[str, tuple[int, SamplerName]] = {"paper": (100, "euler_ancestral"), "quick": (10, "dpmpp_2m")}
"""Preset -> steps and sampler: `paper` samples as published; `quick` costs a tenth of it, with the same guidance."""

GUIDANCE: Mapping[RuleName, Mapping[str, tuple[float, float]]] = {
    "instructdiffusion": {
        "editing": (5.0, 1.25),
        "segmentation": (7.5, 1.5),
        "referring": (7.5, 1.5),
        "keypoints": (6.0, 0.5),
        "dewatermark": (1.0, 1.0),
        "denoise": (1.0, 1.0),
        "deblur": (1.0, 1.0),
    },
    "instructpix2pix": {"editing": (7.5, 1.5)},
}
"""Rule -> kind of task -> the published (s_T, s_I). None is published for noise and blur: they take the watermarks' one."""


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

    `sampler` may be the path of a function of one's own, `module.function`; see `idiff.diffusion.sample`. `preset`, a key of
    `PRESETS`, stands for the published steps, sampler and guidance of each kind of task; a task puts them in its
    place (`resolved`).

    Raises:
        ConfigError: a name that is unknown, fewer than 1 step, guidance that is not finite, or `stop_unchanged` not above 0.
    """

    steps: int = 4
    guidance_text: float | None = None
    guidance_image: float | None = None
    sampler: SamplerName | str = "ddim"
    rule: RuleName | None = None
    stop_unchanged: float | None = None
    preset: PresetName | None = None

    def __post_init__(self) -> None:
        check_number("steps", self.steps, least=1, whole=True)
        for name in ("guidance_text", "guidance_image"):
            check_number(name, getattr(self, name), optional=True)
        check_sampler(self.sampler)
        if self.rule is not None:
            check_choice("rule", self.rule, RuleName)
        if self.preset is not None:
            check_choice("preset", self.preset, PresetName)
        check_number("stop_unchanged", self.stop_unchanged, above=0, optional=True)

    def scales(self, rule: RuleName) -> tuple[float, float]:
        """Guidance of text and image under a model's rule.

        Raises:
            ConfigError: the scales are meant for another rule, or a preset's are not known without a task.
        """
        if self.preset is not None:
            raise ConfigError(
                f"sampling.preset '{self.preset}' has other settings for each kind of task: give it as the `sampling` of a task, "
                "or of all as data.defaults.sampling."
            )
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

    def resolved(self, kind: str) -> Self:
        """A copy with a preset's settings for a kind of task written out; the same where there is no preset.

        The guidance is that of `rule`, InstructDiffusion's where none is given.

        Raises:
            ConfigError: a setting beside the preset says something else.
        """
        if self.preset is None:
            return self
        made, plain = named_preset(self.preset, kind, rule=self.rule or "instructdiffusion"), type(self)()
        for name in ("steps", "sampler", "guidance_text", "guidance_image"):
            own, its = getattr(self, name), getattr(made, name)
            if own not in {getattr(plain, name), its}:
                raise ConfigError(
                    f"sampling: {name} is {own}, and preset '{self.preset}' sets {its} for {kind}: leave {name} out, or set "
                    "preset: null and every setting."
                )
        return replace(
            self, steps=made.steps, sampler=made.sampler, guidance_text=made.guidance_text, guidance_image=made.guidance_image,
            rule=made.rule, preset=None,
        )  # fmt: skip


def named_preset(name: str, kind: str, *, rule: RuleName) -> Sampling:
    """The settings that a preset stands for.

    Args:
        name: one of `PRESETS`.
        kind: of the task; guidance is off for one that nothing was published for. InstructPix2Pix has one pair for all.
        rule: the model's guidance rule.

    Raises:
        ConfigError: there is none of that name.
    """
    check_choice("preset", name, PresetName)
    steps, sampler = PRESETS[name]
    published = GUIDANCE[rule]
    text, image = published.get(kind, (None, None) if rule == "instructdiffusion" else published["editing"])
    return Sampling(steps=steps, guidance_text=text, guidance_image=image, sampler=sampler, rule=rule)
