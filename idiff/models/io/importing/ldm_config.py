"""What configurations beside a file say that no shape does: latent-diffusion's `config.yaml`, and CLIP's `config.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from idiff.errors import CheckpointError

FILE = "config.yaml"
TEXT_FILES = ("config.json", "text_encoder/config.json")
TEXT_SETTINGS = {"num_attention_heads": int, "hidden_act": str, "layer_norm_eps": float}
"""Settings of a CLIP text encoder that are in no shape."""

DIFFUSION = {
    "parameterization": "eps",
    "beta_schedule": "linear",
    "linear_start": 0.00085,
    "linear_end": 0.012,
    "timesteps": 1000,
}
"""What latent-diffusion's configuration says of Stable Diffusion 1; "linear" is linear in the root of beta."""


@dataclass(frozen=True, slots=True)
class LdmSettings:
    """Settings that are not in the shapes.

    Attributes:
        heads: of the U-Net's attention, at every level; None: not said.
        head_width: channels of each of them, where their number follows from the level's width; None: not said.
        scale: of the autoencoder's latents; None: not said.
        origin: the file; None: there is none.
    """

    heads: int | None = None
    head_width: int | None = None
    scale: float | None = None
    origin: Path | None = None


def settings_beside(file: Path) -> LdmSettings:
    """Read `config.yaml`, or the YAML of the file's own name, beside a file of weights, where it is one of latent-diffusion.

    Raises:
        CheckpointError: it is one, and its numbers cannot be used.
    """
    place = next((each for each in (file.with_suffix(".yaml"), file.parent / FILE) if each.is_file()), None)
    if place is None:
        return LdmSettings()
    try:
        content = yaml.safe_load(place.read_text(encoding="utf-8-sig"))
        arguments = content["model"]["params"]
        network = arguments["unet_config"]["params"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return LdmSettings()
    _refuse_another_diffusion(arguments, place)
    heads, width = (
        None if network.get(name) == -1 else network.get(name) for name in ("num_heads", "num_head_channels")
    )
    scale = arguments.get("scale_factor")
    if not all(each is None or _above_zero(each, int) for each in (heads, width)) or not (
        scale is None or _above_zero(scale, (int, float))
    ):
        raise CheckpointError(
            f"{place}: num_heads is {heads!r}, num_head_channels {width!r} and scale_factor {scale!r}, expected numbers above 0. "
            "Correct it, or move it away."
        )
    return LdmSettings(None if width else heads, width, None if scale is None else float(scale), place)


def _refuse_another_diffusion(arguments: Mapping[str, Any], place: Path) -> None:
    """Refuse weights that were trained to predict something else, or under another noise schedule: they would paint nonsense.

    Raises:
        CheckpointError: names the setting.
    """
    for name, expected in DIFFUSION.items():
        if arguments.get(name, expected) != expected:
            raise CheckpointError(
                f"{place}: {name} is {arguments[name]!r}, expected {expected!r} as in Stable Diffusion 1: weights trained "
                "otherwise cannot be used. Correct it, or move it away where it is not about them."
            )


def text_settings(folder: str | Path | None, *, width: int) -> dict[str, Any]:
    """What the `config.json` of a CLIP text encoder says, where one of the same width lies with its tokenizer.

    Args:
        folder: of the tokenizer; of CLIP alone or of a whole pipeline.
        width: of the text encoder's states.

    Returns:
        some of `TEXT_SETTINGS`; none where there is no such file.
    """
    if folder is None:
        return {}
    places = [Path(folder) / name for name in TEXT_FILES]
    if Path(folder).resolve().name == "tokenizer":
        places.append(Path(folder).resolve().parent / "text_encoder" / "config.json")
    for place in places:
        try:
            content = json.loads(place.read_text(encoding="utf-8-sig"))
            content = content.get("text_config") or content
            if content["hidden_size"] == width and width % content["num_attention_heads"] == 0:
                return {key: content[key] for key, kind in TEXT_SETTINGS.items() if isinstance(content.get(key), kind)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            continue
    return {}


def _above_zero(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and value > 0
