"""Read checkpoints back into a backbone. Reading never runs code: `weights_only=True` throughout."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from idiff.errors import CheckpointError
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion, Objective
from idiff.models.embedded import located, names
from idiff.models.exports import read_folder
from idiff.models.folders import file_sha256
from idiff.models.text import TextEncoder
from idiff.models.unet import ATTENTION, silence

PREFIX = "backbone."
HEAD = "recognition."


@dataclass(slots=True)
class Loaded:
    """A backbone and where it came from.

    Attributes:
        backbone: in evaluation mode.
        config: the run's configuration as plain values; empty where the checkpoint carries none.
        name: file name. sha256: of the file's bytes. step: optimizer steps taken.
        familiarity: what `Familiarity.describe` wrote, where the model was exported with it.
    """

    backbone: LatentDiffusion
    config: dict[str, Any]
    name: str
    sha256: str
    step: int
    familiarity: dict[str, Any] | None = None


def read(path: str | Path) -> dict[str, Any]:
    """Read a `.ckpt` file as plain tensors and values.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything that would have to run to be read.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(
            f"{path} is missing: expected a .ckpt file that a training wrote (runs/NAME/checkpoints/), a folder that "
            f"`idiff export` wrote, or the name of an embedded model ({', '.join(names()) or 'this package has none'})"
        )
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, KeyError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({reason[:160]}): it is cut short, or not tensors and plain values alone. "
            "Use another checkpoint of the run."
        ) from None
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path} is no training checkpoint: expected a dictionary with a state_dict")
    return content


def build(description: dict[str, Any]) -> LatentDiffusion:
    """Make the model that `LatentDiffusion.describe` described; trained weights are still to be loaded.

    Raises:
        CheckpointError: a frozen part is missing, or its SHA-256 is another one.
    """
    reference = description["autoencoder"]
    autoencoder = Autoencoder(weights=reference["path"])
    _same(autoencoder.reference, reference, part="autoencoder")
    text = description["text"]
    if "weights" in text:
        encoder = TextEncoder(weights=text["weights"]["path"], tokenizer=text["tokenizer"])
        _same(encoder.reference, text["weights"], part="text encoder")
    else:
        encoder = TextEncoder(config=text["config"], tokenizer=text["tokenizer"])
    return LatentDiffusion(
        autoencoder=autoencoder,
        text=encoder,
        unet=description["unet"],
        objective=Objective(**description["objective"]),
        with_source=description["with_source"],
    )


def load(path: str | Path) -> Loaded:
    """Load the backbone of a training checkpoint with its averaged weights, of an exported folder, or of an embedded model.

    Args:
        path: a `.ckpt` file, a folder that `idiff export` wrote, or a name such as `tiny`.

    Raises:
        CheckpointError: as `read`, `build` and `read_folder`; or the checkpoint is of a stage without a backbone, or weights are
            missing.
    """
    place = located(path)
    if place.is_dir():
        backbone, description = read_folder(place)
        digest = hashlib.sha256("".join(description["sha256"].values()).encode()).hexdigest()
        step = int(description.get("step", 0))
        return Loaded(
            backbone=backbone,
            config=description["config"],
            name=Path(path).name,
            sha256=digest,
            step=step,
            familiarity=description.get("familiarity"),
        )
    content = read(path)
    if "backbone" not in content:
        raise CheckpointError(f"{path} holds no diffusion model: expected a checkpoint of a stage that trains one")
    backbone = build(content["backbone"])
    state = {key.removeprefix(PREFIX): value for key, value in content["state_dict"].items() if key.startswith(PREFIX)}
    assign(backbone, state, origin=str(path))
    return Loaded(
        backbone=backbone.eval(),
        config=content.get("config", {}),
        name=Path(path).name,
        sha256=file_sha256(Path(path)),
        step=int(content.get("global_step", 0)),
    )


def assign(backbone: LatentDiffusion, state: dict[str, Any], *, origin: str) -> None:
    """Load trained weights; frozen parts are left as they are. Every trained key must be there, and no other.

    Raises:
        CheckpointError: keys are missing or left over, or shapes differ; the first of them are named.
    """
    frozen = frozen_prefixes(backbone)
    wanted = {key: value.shape for key, value in backbone.state_dict().items() if not key.startswith(frozen)}
    given = {key: value.shape for key, value in state.items() if not key.startswith(frozen)}
    wrong = sorted(set(wanted) ^ set(given)) or sorted(key for key in wanted if wanted[key] != given[key])
    if wrong:
        raise CheckpointError(
            f"{origin} does not fit this model: {len(wrong)} weights are missing, left over or of another shape "
            f"({', '.join(wrong[:3])}). Use the model configuration it was trained with."
        )
    backbone.load_state_dict(state, strict=False)


def hand_over(backbone: LatentDiffusion, state: dict[str, Any], *, origin: str) -> list[str]:
    """Load what another model has of this one's trained weights. Attention blocks that it lacks start silent.

    Args:
        backbone: takes the weights.
        state: of the other model.
        origin: its name.

    Returns:
        what was loaded, made new and left out, in words.

    Raises:
        CheckpointError: anything but attention blocks and the training head `Recognition` differs.
    """
    frozen = frozen_prefixes(backbone)
    own = {key: value for key, value in backbone.state_dict().items() if not key.startswith(frozen)}
    given = {key: value for key, value in state.items() if not key.startswith(frozen)}
    new = [key for key in own if key not in given and (ATTENTION in key or key.startswith(HEAD))]
    out = [key for key in given if key not in own and key.startswith(HEAD)]
    kept = {key: value for key, value in given.items() if key not in out}
    assign(backbone, kept | {key: own[key] for key in new}, origin=origin)
    silence(backbone, [key for key in new if ATTENTION in key])
    report = [f"U-Net and text encoder: {len(kept)} weights loaded from {origin}"]
    report += [f"{len(new)} weights are new: {', '.join(new[:3])}{', ...' if len(new) > 3 else ''}"] if new else []
    report += [f"{len(out)} weights left out: {', '.join(out)}"] if out else []
    return report


def frozen_prefixes(backbone: LatentDiffusion) -> tuple[str, ...]:
    """Key prefixes of the parts that checkpoints name by path and SHA-256 instead of storing them."""
    return ("autoencoder.",) if backbone.text.reference is None else ("autoencoder.", "text.")


def _same(got: dict[str, str] | None, wanted: dict[str, str], *, part: str) -> None:
    if got is None or got["sha256"] != wanted["sha256"]:
        raise CheckpointError(
            f"the {part} at {wanted['path']} is another one than the checkpoint was trained with: SHA-256 "
            f"{(got or {}).get('sha256', 'none')[:12]}, expected {wanted['sha256'][:12]}. Put the right one back."
        )
