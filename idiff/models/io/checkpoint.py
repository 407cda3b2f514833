"""Read checkpoints back into a backbone. Reading never runs code: `weights_only=True` throughout."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from idiff.errors import CheckpointError, suggest
from idiff.models.autoencoder import Autoencoder
from idiff.models.backbone import LatentDiffusion
from idiff.models.io.described_size import refuse_larger
from idiff.models.io.export import read_folder
from idiff.models.io.folders import DESCRIPTION, folder_sha256, is_whole, subfolder
from idiff.models.io.importing.held import is_foreign
from idiff.models.io.plain_folder import read_plain
from idiff.models.io.preset_files import presets_beside, presets_of
from idiff.models.io.pretrained import located, names
from idiff.models.io.resolve import model_folder
from idiff.models.lora import ADAPTER, Lora, put
from idiff.models.network import load_network, refuse_not_finite
from idiff.models.objective import Objective
from idiff.models.text import TextEncoder
from idiff.models.unet import UNET, build_unet
from idiff.utils.files import sha256_file
from idiff.utils.foreign import decoding
from idiff.utils.moved import modernised
from idiff.utils.presets import Preset

PREFIX = "backbone."
TEXT = "text."


@dataclass(slots=True)
class Loaded:
    """A backbone and where it came from.

    Attributes:
        backbone: in evaluation mode.
        config: the run's configuration as plain values, and its data module's tasks as `tasks`; empty where the checkpoint
            carries none.
        name: file name. sha256: of the file's bytes. step: optimizer steps taken.
        ood_score: what `OODScore.describe` wrote, where the model was exported with it.
        presets: how each task is sampled, by its name in the training, where that was found for these weights.
    """

    backbone: LatentDiffusion
    config: dict[str, Any]
    name: str
    sha256: str
    step: int
    ood_score: dict[str, Any] | None = None
    presets: dict[str, Preset] = field(default_factory=dict)


def read(path: str | Path) -> dict[str, Any]:
    """Read a `.ckpt` file as plain tensors and values.

    Raises:
        CheckpointError: the file is missing, damaged, or holds anything that would have to run to be read.
    """
    file = Path(path)
    if not file.is_file():
        meant = suggest(str(path), names())
        raise CheckpointError(
            f"{path} is missing{meant or '.'} Expected a .ckpt file that a training wrote (runs/NAME/checkpoints/), a folder that "
            f"`idiff export` wrote, or the name of a pretrained model ({', '.join(names()) or 'this package has none'})."
        )
    with decoding(
        lambda reason: CheckpointError(
            f"{path} cannot be read as a checkpoint ({reason}): it is cut short, or not tensors and plain values alone. "
            "Use another checkpoint of the run."
        )
    ):
        content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise CheckpointError(f"{path} is not a training checkpoint: expected a dictionary with a state_dict")
    return content


def build(
    description: dict[str, Any], *, held: Mapping[str, Tensor] | None = None, origin: str = ""
) -> LatentDiffusion:
    """Make the model that `LatentDiffusion.describe` described; trained weights are still to be loaded.

    Args:
        description: of the model.
        held: the weights that are to be loaded, where they are all of them: a model that is larger is not made.
        origin: names their file in errors.

    Raises:
        CheckpointError: a frozen part is missing, or its SHA-256 is another one; or the model is larger than its weights.
    """
    reference = description["autoencoder"]
    autoencoder = Autoencoder(weights=reference["path"])
    _same(autoencoder.reference, reference, part="autoencoder")
    text = description["text"]
    if "weights" in text:
        encoder = TextEncoder(weights=text["weights"]["path"], tokenizer=text["tokenizer"])
        _same(encoder.reference, text["weights"], part="text encoder")
    else:
        given = {"config": text["config"], "tokenizer": text["tokenizer"]}
        if held is not None:
            refuse_larger(
                lambda: TextEncoder(**given), given["config"], _part(held, TEXT), part="text encoder", origin=origin
            )
        encoder = TextEncoder(**given)
    unet = description["unet"]
    whole = {
        "latent_channels": autoencoder.channels,
        "context": encoder.width,
        "with_source": description["with_source"],
    }
    if held is not None:
        refuse_larger(
            lambda: build_unet(unet, weights=None, **whole)[0], unet, _part(held, UNET), part="U-Net", origin=origin
        )
    return LatentDiffusion(
        autoencoder=autoencoder,
        text=encoder,
        unet=description["unet"],
        objective=Objective(**modernised(description["objective"])),
        with_source=description["with_source"],
    )


def load(path: str | Path) -> Loaded:
    """Load a model: a training checkpoint with its averaged weights, an exported folder, or weights of others.

    Args:
        path: a `.ckpt` file, a folder that `idiff export` or `idiff import` wrote, a name such as `tiny`, a folder in diffusers'
            layout, or a single file in CompVis' names, which is converted once; of the last two the family must be told by name
            or metadata.

    Raises:
        CheckpointError: as `read`, `build` and `read_folder`; or the checkpoint is of a stage without a backbone, or weights are
            missing or not finite.
        ConfigError: nothing tells the family of others' weights.
    """
    place = located(path)
    if place.is_dir() or (place.is_file() and is_foreign(place)):
        place = model_folder(place)
        if is_whole(place) and not (place / DESCRIPTION).is_file():
            return Loaded(**read_plain(place), name=Path(path).name)
        backbone, description = read_folder(place)
        digest = hashlib.sha256("".join(description["sha256"].values()).encode()).hexdigest()
        step = int(description.get("step", 0))
        return Loaded(
            backbone=backbone,
            config=description["config"],
            name=Path(path).name,
            sha256=digest,
            step=step,
            ood_score=description.get("familiarity"),
            presets=presets_of(description.get("presets"), origin=str(place / DESCRIPTION)),
        )
    content = read(path)
    if "backbone" not in content:
        raise CheckpointError(f"{path} holds no diffusion model: expected a checkpoint of a stage that trains one")
    expected = "expected a checkpoint that `idiff fit` wrote. Use another one."
    with decoding(lambda reason: CheckpointError(f"{path} holds a model that cannot be made ({reason}): {expected}")):
        return _loaded(Path(path), content)


def _loaded(path: Path, content: dict[str, Any]) -> Loaded:
    """The model that the content of a checkpoint describes, with its weights."""
    state = _part(content["state_dict"], PREFIX)
    backbone = build(content["backbone"], held=None if "lora" in content else state, origin=str(path))
    if "lora" in content:
        _adapted(backbone, state, adapter=content["lora"], origin=str(path))
    else:
        assign(backbone, state, origin=str(path))
    refuse_not_finite(backbone.state_dict(), origin=str(path))
    sha256 = sha256_file(path)
    return Loaded(
        backbone=backbone.eval(),
        config=dict(content.get("config", {})) | ({"tasks": content["tasks"]} if content.get("tasks") else {}),
        name=path.name,
        sha256=sha256,
        step=int(content.get("global_step", 0)),
        presets=presets_beside(path, sha256=sha256),
    )


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose keys have a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _adapted(backbone: LatentDiffusion, trained: dict[str, Tensor], *, adapter: dict[str, Any], origin: str) -> None:
    """Load the base that adapters were trained on, what was trained in full, and the adapters; merged.

    Raises:
        CheckpointError: the base is missing or another one, or weights are.
    """
    frozen = frozen_prefixes(backbone)
    own = {key: value for key, value in backbone.state_dict().items() if not key.startswith(frozen)}
    base = base_weights(adapter["base"], origin=origin)
    weights = {key: value for key, value in base.items() if key in own and value.shape == own[key].shape}
    full = {key: value for key, value in trained.items() if ADAPTER not in key}
    assign(backbone, weights | full, origin=origin)
    adapters = {key: value for key, value in trained.items() if ADAPTER in key}
    lora = Lora(rank=adapter["rank"], alpha=adapter["alpha"])
    put(backbone.unet, adapters, lora=lora, layers=adapter["layers"], origin=origin)


def base_weights(reference: dict[str, Any], *, origin: str) -> dict[str, Tensor]:
    """Weights that a training began with.

    Args:
        reference: an entry of `Provenance.sources` with its SHA-256.
        origin: names what was trained on them.

    Returns:
        keys as in `LatentDiffusion.state_dict`.

    Raises:
        CheckpointError: the base is missing, damaged, or another one.
    """
    path = reference["path"]
    if reference["kind"] == "model":
        source = load(path)
        sha256, state = source.sha256, source.backbone.state_dict()
    else:
        folder = subfolder(path, "unet")
        sha256 = folder_sha256(folder)
        net = load_network(UNet2DConditionModel, folder, part="U-Net", low_cpu_mem_usage=False)
        state = {UNET + key: value for key, value in net.state_dict().items()}
    if sha256 != reference["sha256"]:
        raise CheckpointError(
            f"{origin} holds adapters of {path}, which is another one now: SHA-256 {sha256[:12]}, expected "
            f"{reference['sha256'][:12]}. Put the right one back; an exported folder (idiff export) needs no base."
        )
    return state


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


def frozen_prefixes(backbone: LatentDiffusion) -> tuple[str, ...]:
    """Key prefixes of the parts that checkpoints name by path and SHA-256 instead of storing them."""
    return tuple(frozen_folders(backbone))


def frozen_folders(backbone: LatentDiffusion) -> dict[str, str]:
    """Key prefix -> folder of the parts that checkpoints name instead of storing them."""
    parts = {"autoencoder.": backbone.autoencoder.reference, "text.": backbone.text.reference}
    return {prefix: reference["path"] for prefix, reference in parts.items() if reference is not None}


def _same(got: dict[str, str] | None, wanted: dict[str, str], *, part: str) -> None:
    if got is None or got["sha256"] != wanted["sha256"]:
        raise CheckpointError(
            f"the {part} at {wanted['path']} is another one than the checkpoint was trained with: SHA-256 "
            f"{(got or {}).get('sha256', 'none')[:12]}, expected {wanted['sha256'][:12]}. Put the right one back."
        )
