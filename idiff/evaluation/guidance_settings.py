"""Guidance settings to paint candidates under: a grid around the preset of the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from idiff.errors import ConfigError, unknown
from idiff.sampling import OFF, RuleName, Sampling

TEXT_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0)
IMAGE_FACTORS = (0.0, 0.5, 1.0, 1.5)
"""How far from guidance off the scales of a grid lie, in units of the preset's distance. 5 x 4 are the paper's 20 settings."""

TEXT_UNIT, IMAGE_UNIT = 0.5, 0.25
"""The unit where the preset is guidance off."""


def guidance_grid(
    preset: Sampling,
    *,
    rule: RuleName,
    text: Sequence[float] | None = None,
    image: Sequence[float] | None = None,
    steps: int | None = None,
    sampler: str | None = None,
) -> list[Sampling]:
    """All pairs of a text scale and an image scale (InstructDiffusion, section 3.3, "human alignment": 20 settings a prompt).

    A scale is off + factor * (preset - off): factor 0 is guidance off, 1 the preset. Where the preset is off, its distance is taken
    as 0.5 for text and 0.25 for the image.

    Args:
        preset: how the task samples. Where it is of another rule it counts as off.
        rule: the guidance rule that the model was trained for, `LatentDiffusion.objective.rule`.
        text: text scales instead of the default five.
        image: image scales instead of the default four.
        steps: instead of the preset's.
        sampler: instead of the preset's.

    Returns:
        text scales times image scales settings; the image scale runs fastest.

    Raises:
        ConfigError: an unknown rule, or an empty list of scales.
    """
    if rule not in OFF:
        raise unknown("guidance rule", rule, OFF)
    off = OFF[rule]
    near = preset.scales(rule) if preset.rule in {None, rule} else (off, off)
    units = [part - off or unit for part, unit in zip(near, (TEXT_UNIT, IMAGE_UNIT), strict=True)]
    texts = [round(off + factor * units[0], 6) for factor in TEXT_FACTORS] if text is None else list(text)
    images = [round(off + factor * units[1], 6) for factor in IMAGE_FACTORS] if image is None else list(image)
    if not texts or not images:
        raise ConfigError(
            f"a grid of {len(texts)} text scales and {len(images)} image scales: give one of each or more."
        )
    base = replace(preset, rule=rule, steps=steps or preset.steps, sampler=sampler or preset.sampler)
    return [replace(base, guidance_text=s_t, guidance_image=s_i) for s_t in texts for s_i in images]


def spread(grid: Sequence[Sampling], count: int) -> list[Sampling]:
    """The settings of `count` candidates: spread evenly over the grid where there are fewer, in turn where there are more.

    Args:
        grid: at least one setting.
        count: 1 or more.
    """
    if count <= len(grid):
        return [grid[number * len(grid) // count] for number in range(count)]
    return [grid[number % len(grid)] for number in range(count)]


def facts(setting: Sampling) -> dict[str, Any]:
    """A setting as plain values; what is not set is left out, so that settings that came later do not change older ones."""
    return {name: value for name, value in asdict(setting).items() if value is not None}
