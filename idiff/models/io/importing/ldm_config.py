"""What a `config.yaml` in the words of latent-diffusion, where one lies beside a file, says that no shape does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from idiff.errors import CheckpointError

FILE = "config.yaml"


@dataclass(frozen=True, slots=True)
class LdmSettings:
    """Settings that are not in the shapes.

    Attributes:
        heads: of the U-Net's attention, at every level; None: not said.
        scale: of the autoencoder's latents; None: not said.
        origin: the file; None: there is none.
    """

    heads: int | None = None
    scale: float | None = None
    origin: Path | None = None


def settings_beside(file: Path) -> LdmSettings:
    """Read the `config.yaml` beside a file of weights, where it is one of latent-diffusion; nothing otherwise.

    Raises:
        CheckpointError: it is one, and its numbers cannot be used.
    """
    place = file.parent / FILE
    if not place.is_file():
        return LdmSettings()
    try:
        content = yaml.safe_load(place.read_text(encoding="utf-8-sig"))
        arguments = content["model"]["params"]
        network = arguments["unet_config"]["params"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return LdmSettings()
    heads, scale = network.get("num_heads"), arguments.get("scale_factor")
    if not (heads is None or heads == -1 or _above_zero(heads, int)) or not (
        scale is None or _above_zero(scale, (int, float))
    ):
        raise CheckpointError(
            f"{place}: num_heads is {heads!r} and scale_factor {scale!r}, expected numbers above 0. Correct it, or move it away."
        )
    return LdmSettings(None if heads == -1 else heads, None if scale is None else float(scale), place)


def _above_zero(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and value > 0
