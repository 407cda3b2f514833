"""A folder that diffusers wrote, asked as it is: what is not in it comes from the family of its model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.families import AUTO, find_family
from idiff.models.io.folders import folder_sha256, subfolder
from idiff.models.io.importing.diffusers_folder import input_channels, pipeline_class, side_by_side
from idiff.models.text import TextEncoder


def read_plain(folder: Path) -> dict[str, Any]:
    """Read a model in diffusers' layout.

    Returns:
        backbone, configuration, SHA-256, steps and presets, as `idiff.models.io.checkpoint.Loaded` takes them.

    Raises:
        CheckpointError: a part is missing or cannot be read.
        ConfigError: nothing tells the family.
    """
    family, _ = find_family(
        AUTO, channels=side_by_side(*input_channels(folder), folder), name=folder.resolve().name, hints=[pipeline_class(folder)],
        origin=str(folder),
    )  # fmt: skip
    backbone = LatentDiffusion(
        autoencoder=Autoencoder(weights=str(folder)),
        text=TextEncoder(weights=str(folder)),
        unet_weights=str(folder),
        objective=family.objective,
    )
    sums = [folder_sha256(subfolder(folder, part)) for part in ("unet", "vae", "text_encoder")]
    return {
        "backbone": backbone.eval(),
        "config": {"tasks": family.tasks, "family": family.name},
        "sha256": hashlib.sha256("".join(sums).encode()).hexdigest(),
        "step": 0,
        "presets": family.presets,
    }
