"""Families of published models: what their weights were trained for, and how their authors ask them. One YAML a family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from idiff.errors import ConfigError
from idiff.models.objective import Objective
from idiff.sampling import named_preset
from idiff.utils.presets import SETTINGS, Preset

AUTO, ANY = "auto", "any"
METRIC = "published"
"""What the presets of a family were chosen by."""


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models.

    Attributes:
        name: such as `instructdiffusion`.
        title: its name in words.
        licence: what is known of the licence of its weights.
        channels: latents its U-Net takes side by side: 1 text-to-image, 2 with a source.
        names: words in a file's name that tell it.
        layouts: layouts of files that only its authors write.
        classes: pipelines of diffusers whose folders hold it.
        objective: what it was trained for, guidance rule and spacing of timesteps included.
        tasks: as a checkpoint carries them: name -> task and sampling, plain values.
        presets: how each task is sampled.
    """

    name: str
    title: str
    licence: str
    channels: int
    names: tuple[str, ...]
    layouts: tuple[str, ...]
    classes: tuple[str, ...]
    objective: Objective
    tasks: dict[str, dict[str, Any]]
    presets: dict[str, Preset]


@cache
def families() -> dict[str, Family]:
    """All families, by name."""
    folder = Path(str(files("idiff") / "assets" / "families"))
    return {file.stem: _read(file) for file in sorted(folder.glob("*.yaml"))}


def _read(file: Path) -> Family:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    objective = Objective(**content["objective"])
    tasks, presets = {}, {}
    for kind, task in content["tasks"].items():
        sampling = named_preset(content["preset"], kind, rule=objective.rule)
        settings = {name: getattr(sampling, name) for name in SETTINGS}
        tasks[kind] = {"task": task, "sampling": settings, "weight": 1.0}
        presets[kind] = Preset(
            **settings, metric=METRIC, score=None, evaluations=float(sampling.steps * len(objective.branches(sampling))), samples=0,
            data=content["source"],
        )  # fmt: skip
    return Family(
        name=file.stem, title=content["title"], licence=content["licence"], channels=content["channels"],
        names=tuple(content["names"]), layouts=tuple(content["layouts"]), classes=tuple(content["classes"]),
        objective=objective, tasks=tasks, presets=presets,
    )  # fmt: skip


def find_family(wanted: str, *, channels: int, name: str, hints: Iterable[str], origin: str) -> tuple[Family, str]:
    """Tell the family of a model.

    Args:
        wanted: its name; `auto`; or `any`: the first that fits where nothing tells which it is.
        channels: latents the U-Net takes side by side.
        name: of the file or folder.
        hints: layouts and pipeline classes that are known of it.
        origin: names the weights, for errors.

    Returns:
        the family, and why it is that one.

    Raises:
        ConfigError: the U-Net has other channels, or nothing tells which family of two it is.
    """
    known = families()
    if wanted not in {AUTO, ANY}:
        family = known[wanted]
        if family.channels != channels:
            raise ConfigError(
                f"--family {wanted} takes {family.channels * 4} input channels, the U-Net in {origin} {channels * 4}: expected "
                f"{' or '.join(each.name for each in known.values() if each.channels == channels) or 'another model'}."
            )
        return family, "--family"
    fit = [family for family in known.values() if family.channels == channels]
    if len(fit) == 1:
        return fit[0], f"its U-Net takes {channels * 4} channels"
    by_name = [family for family in fit if any(word in name.lower() for word in family.names)]
    if len(by_name) == 1:
        return by_name[0], f"the name {name}"
    said = {hint for hint in hints if hint}
    by_hint = [family for family in fit if said & {*family.layouts, *family.classes}]
    if len(by_hint) == 1:
        return by_hint[0], ", ".join(sorted(said & {*by_hint[0].layouts, *by_hint[0].classes}))
    if wanted == ANY and fit:
        return fit[0], "nothing tells: its weights alone are asked for"
    raise ConfigError(
        f"{origin} does not say of which family it is, and guidance is another in each: give --family "
        f"{' or '.join(family.name for family in fit)} to idiff import."
    )
