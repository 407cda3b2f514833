"""Write a backbone as a folder of safetensors and JSON, and read one back. Nothing in such a folder is ever run.

    unet/ vae/ text_encoder/ tokenizer/    the hub's layout
    idiff.json                             objective, tasks, step, presets, and the SHA-256 of every weight file
    README.md                              model card, where there is one

Parts that several models share may lie elsewhere: `parts` in idiff.json then says where, relative to the folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.folders import DESCRIPTION, PARTS, subfolder
from idiff.models.lora import merged_copy
from idiff.models.network import quiet
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder
from idiff.utils.files import sha256_file, whole_folder
from idiff.utils.foreign import decoding, read_json
from idiff.utils.moved import modernised
from idiff.utils.presets import Preset

FORMAT = 1


@quiet()
def write_folder(
    backbone: LatentDiffusion,
    folder: str | Path,
    *,
    config: dict[str, Any],
    step: int,
    half: bool = True,
    shared: dict[str, str] | None = None,
    ood_score: dict[str, Any] | None = None,
    presets: Mapping[str, Preset] | None = None,
    card: str | None = None,
    beside: Callable[[Path], None] | None = None,
) -> Path:
    """Write a model. The folder appears whole or not at all.

    Args:
        backbone: with the weights that are to be used (averaged ones); adapters are merged in what is written.
        folder: must not exist yet, or be empty.
        config: the training's configuration and tasks, see `Loaded.config`: tasks can be restored from it.
        step: optimizer steps taken.
        half: weights in float16 on disk.
        ood_score: what `OODScore.describe` wrote of the training images.
        shared: part -> folder it lies in already, relative to this one; such parts are not written.
        presets: how each task is sampled.
        card: text of README.md.
        beside: writes what else is to be there into the folder.

    Returns:
        the folder.

    Raises:
        CheckpointError: the folder holds something already, or cannot be written.
    """
    target, shared = Path(folder), shared or {}
    dtype = torch.float16 if half else torch.float32
    nets = {"unet": backbone.unet, "vae": backbone.autoencoder.net, "text_encoder": backbone.text.net}
    with whole_folder(target, error=CheckpointError) as staged:
        for part, net in nets.items():
            if part not in shared:
                written = merged_copy(net).to(memory_format=torch.contiguous_format)
                torch.nn.Module.to(written, dtype).save_pretrained(
                    staged / part
                )  # diffusers' own `to` warns of nothing
        if "tokenizer" not in shared:
            backbone.text.tokenizer.save_pretrained(staged / "tokenizer")
        write_description(
            staged, target, objective=backbone.objective, with_source=backbone.with_source, config=config, step=step,
            shared=shared, ood_score=ood_score, presets=presets,
        )  # fmt: skip
        if card is not None:
            (staged / "README.md").write_text(card, encoding="utf-8")
        if beside is not None:
            beside(staged)
    return target


def write_description(
    staged: Path,
    target: Path,
    *,
    objective: Objective,
    with_source: bool,
    config: dict[str, Any],
    step: int,
    shared: dict[str, str] | None = None,
    ood_score: dict[str, Any] | None = None,
    presets: Mapping[str, Preset] | None = None,
) -> None:
    """Write idiff.json beside the parts of a model.

    Args:
        staged: the folder with the parts.
        target: what it becomes.
        objective: see `LatentDiffusion`.
        with_source: see `LatentDiffusion`.
        config: see `write_folder`, also for what follows.
        step: optimizer steps taken.
        shared: part -> folder it lies in already.
        ood_score: of the training images.
        presets: how each task is sampled.
    """
    shared = shared or {}
    description = {
        "format": FORMAT,
        "objective": asdict(objective) | {"auxiliary_loss_weight": 0.0},  # for training alone
        "with_source": with_source,
        "step": step,
        "parts": shared,
        "config": config,
        "familiarity": ood_score,
        "presets": {task: preset.describe() for task, preset in (presets or {}).items()},
        "sha256": _checksums(staged, target, shared),
    }
    text = json.dumps(description, indent=1, sort_keys=True) + "\n"
    (staged / DESCRIPTION).write_text(text, encoding="utf-8")


def _checksums(staged: Path, target: Path, shared: dict[str, str]) -> dict[str, str]:
    """SHA-256 of every weight file, by its path seen from the model's folder."""
    own = {str(file.relative_to(staged)): sha256_file(file) for file in sorted(staged.rglob("*.safetensors"))}
    for place in shared.values():
        for file in sorted(Path(os.path.normpath(target / place)).glob("*.safetensors")):
            own[f"{place}/{file.name}"] = sha256_file(file)
    return own


def read_folder(folder: Path) -> tuple[LatentDiffusion, dict[str, Any]]:
    """Read a model that `write_folder` wrote.

    Returns:
        the backbone in evaluation mode, and the description.

    Raises:
        CheckpointError: no such folder, a part is missing, or a file is not the one that was written.
    """
    description = read_description(folder)
    for name, wanted in description["sha256"].items():
        file = folder / name
        if not file.is_file():
            raise CheckpointError(f"{file} is missing: the model in {folder} is not whole. Get the folder again.")
        got = sha256_file(file)
        if got != wanted:
            raise CheckpointError(
                f"{file} is damaged or another file: SHA-256 {got[:12]}, expected {wanted[:12]}. Get the folder again."
            )
    objective = objective_of(description["objective"], origin=str(folder))
    with decoding(lambda reason: CheckpointError(f"{folder} cannot be read: {reason}. Get the folder again.")):
        backbone = LatentDiffusion(
            autoencoder=Autoencoder(weights=str(subfolder(folder, "vae"))),
            text=TextEncoder(
                weights=str(subfolder(folder, "text_encoder")), tokenizer=str(subfolder(folder, "tokenizer"))
            ),
            unet_weights=str(folder),
            objective=objective,
            with_source=description["with_source"],
        )
    return backbone.eval(), description


def objective_of(described: Any, *, origin: str) -> Objective:
    """The objective that a model describes.

    Raises:
        CheckpointError: it is not one.
    """
    with decoding(lambda reason: CheckpointError(f"{origin}: its objective cannot be used: {reason}")):
        return Objective(**modernised(described))


def read_description(folder: Path) -> dict[str, Any]:
    """Read `idiff.json` of a model's folder.

    Raises:
        CheckpointError: it is missing or not what `write_folder` writes.
    """
    file = folder / DESCRIPTION
    of_run = [path for name in ("best", "last") if (path := folder / "checkpoints" / f"{name}.ckpt").is_file()]
    meant = f". It is the folder of a training: give {of_run[0]}" if of_run else ""
    refusal = CheckpointError(
        f"{folder} is not an exported model: expected a folder with a readable {DESCRIPTION}, as `idiff export` writes it{meant}"
    )
    with decoding(lambda reason: refusal):
        description: dict[str, Any] = read_json(file)
        weights, objects = description["sha256"], ("objective", "config", "sha256")
        if description["format"] != FORMAT or not all(isinstance(description[name], dict) for name in objects):
            raise refusal
        if not isinstance(description["with_source"], bool):
            raise refusal
        if not all(isinstance(sha256, str) and _is_weights(name) for name, sha256 in weights.items()):
            raise refusal
    return description


def _is_weights(name: str) -> bool:
    """Whether a name is that of a weight file seen from a model's folder: nothing else is read because a file says so."""
    path = PurePosixPath(name)
    return not path.is_absolute() and path.suffix == ".safetensors"


__all__ = ["PARTS", "read_description", "read_folder", "write_folder"]
