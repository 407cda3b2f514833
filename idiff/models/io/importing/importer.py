"""Import: a single file or a folder of somebody else's becomes a folder of this project's, with all that its family brings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from idiff.errors import CheckpointError
from idiff.models.families import AUTO, find_family
from idiff.models.io.export import read_description, write_description
from idiff.models.io.folders import DESCRIPTION, is_whole, subfolder
from idiff.models.io.importing.average import EmaChoice, take_average
from idiff.models.io.importing.diffusers_folder import (
    copy_parts,
    input_channels,
    pipeline_class,
    side_by_side,
)
from idiff.models.io.importing.held import WEIGHTS, read_held
from idiff.models.io.importing.keys import KeyReport, sort_keys
from idiff.models.io.importing.ldm_config import settings_beside
from idiff.models.io.importing.single import latent_channels, part_configs, shapes_of, write_parts
from idiff.models.io.importing.vocabulary import find_tokenizer, open_tokenizer
from idiff.models.io.preset_files import presets_of
from idiff.models.network import quiet
from idiff.models.objective import Objective
from idiff.utils.files import sha256_file, whole_folder
from idiff.utils.moved import modernised
from idiff.utils.presets import Preset

REPORT = "import.json"
"""What became of each key, beside the result."""

FamilyChoice = Literal["auto", "any", "sd15", "instructpix2pix", "instructdiffusion"]


@dataclass(slots=True)
class Imported:
    """What an import wrote.

    Attributes:
        folder: the model.
        family: of the weights.
        report: of each key.
    """

    folder: Path
    family: str
    report: KeyReport = field(default_factory=KeyReport)


@dataclass(slots=True)
class _Meaning:
    """What a model is for: what idiff.json says beside the weights."""

    objective: Objective
    with_source: bool
    config: dict[str, Any]
    presets: Mapping[str, Preset]


@quiet()
def import_model(
    source: str | Path,
    out: str | Path,
    *,
    family: FamilyChoice = "auto",
    tokenizer: str | None = None,
    ema: EmaChoice = "auto",
) -> Imported:
    """Import a model. The folder appears whole or not at all.

    Args:
        source: a single file in CompVis' names, a training state, an old Lightning checkpoint, or a folder in diffusers' layout.
        out: the folder; must not exist yet, or be empty.
        family: of published models; `auto`: as channels, name and metadata tell; `any`: the same, or any that fits where
            nothing tells, for its weights alone.
        tokenizer: folder of the text encoder's tokenizer, where the source holds none.
        ema: whether running averages take the weights' place.

    Raises:
        CheckpointError: the source cannot be used; nothing is written.
        ConfigError: its family cannot be told.
    """
    place, target = Path(source), Path(out)
    if place.is_dir() and is_whole(place):
        return _import_folder(place, target, family=family, tokenizer=tokenizer)
    if place.is_dir():
        place = _only_file(place)
    if not place.is_file():
        raise CheckpointError(
            f"{source} does not exist: expected a file of weights ({', '.join(WEIGHTS)}) or a folder in diffusers' layout. A model "
            "of the hub is asked for by its name and --hub."
        )
    return _import_file(place, target, family=family, tokenizer=tokenizer, ema=ema)


def _only_file(folder: Path) -> Path:
    """The one file of weights in a folder.

    Raises:
        CheckpointError: there is none, or several.
    """
    found = sorted(file for file in folder.iterdir() if file.suffix in WEIGHTS)
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:5]) or "none"
        raise CheckpointError(
            f"{folder} is no folder in diffusers' layout, and holds these files of weights: {names}. Name one file."
        )
    return found[0]


def _import_file(file: Path, target: Path, *, family: FamilyChoice, tokenizer: str | None, ema: EmaChoice) -> Imported:
    held, report = read_held(file), KeyReport()
    averaged, said = take_average(held, ema)
    parts = sort_keys(held, report)
    unet, text = (shapes_of(part, parts[part], str(file)) for part in ("unet", "text_encoder"))
    takes, latent = unet.side("input_blocks.0.0.weight", 1), latent_channels(parts, str(file))
    chosen, why = find_family(
        family, channels=side_by_side(takes, latent, file), name=file.name, hints=held.layouts, origin=str(file)
    )
    widened_by = latent if takes == latent else 0
    tokens = text.side("embeddings.token_embedding.weight", 0)
    with whole_folder(target, error=CheckpointError) as staged:
        words, origin = find_tokenizer(tokenizer, file=file, tokens=tokens, into=staged / "tokenizer")
        settings = settings_beside(file)
        configs = part_configs(held, parts, settings, words, tokenizer or file.parent)
        write_parts(held, parts, configs, staged, widened_by=widened_by, averaged=averaged, report=report)
        words.save_pretrained(staged / "tokenizer")
        report.said = [
            f"family {chosen.name}: {why}",
            said,
            *([_widened(latent)] if widened_by else []),
            *_read_off(configs, settings.origin),
            f"tokenizer: {origin}",
            f"licence: {chosen.licence}",
        ]
        meaning = _Meaning(chosen.objective, True, {"tasks": chosen.tasks, "family": chosen.name}, chosen.presets)
        _finish(
            staged,
            target,
            meaning,
            step=held.step,
            report=report,
            source={"path": str(file), "sha256": sha256_file(file)},
        )
    return Imported(target, chosen.name, report)


def _import_folder(folder: Path, target: Path, *, family: FamilyChoice, tokenizer: str | None) -> Imported:
    report = KeyReport()
    takes, latent = input_channels(folder)
    described = read_description(folder) if (folder / DESCRIPTION).is_file() else None
    if described is None or family != AUTO:
        chosen, why = find_family(
            family, channels=side_by_side(takes, latent, folder), name=folder.resolve().name, hints=[pipeline_class(folder)],
            origin=str(folder),
        )  # fmt: skip
        meaning = _Meaning(chosen.objective, True, {"tasks": chosen.tasks, "family": chosen.name}, chosen.presets)
        name, step = chosen.name, 0
        report.said = [f"family {chosen.name}: {why}", f"licence: {chosen.licence}"]
    else:
        meaning = _Meaning(
            Objective(**modernised(described["objective"])), described["with_source"], described["config"],
            presets_of(described.get("presets"), origin=str(folder / DESCRIPTION)),
        )  # fmt: skip
        name, step = str(described["config"].get("family", "its own")), int(described.get("step", 0))
        report.said = [f"{DESCRIPTION} says what the model is: it is kept"]
    widened_by = latent if meaning.with_source and takes == latent else 0
    place = subfolder(tokenizer or folder, "tokenizer")
    words = open_tokenizer(place)
    with whole_folder(target, error=CheckpointError) as staged:
        report.said += [_widened(latent)] if widened_by else []
        copy_parts(folder, staged, widened_by=widened_by, tokenizer=words, report=report)
        words.save_pretrained(staged / "tokenizer")
        _finish(staged, target, meaning, step=step, report=report, source={"path": str(folder), "sha256": None})
    return Imported(target, name, report)


def _widened(latent: int) -> str:
    return f"U-Net: first convolution widened {latent} -> {2 * latent} channels with zeros, for a source image"


def _read_off(configs: Mapping[str, Mapping[str, Any]], beside: Path | None) -> list[str]:
    """What was read off the shapes, and what they do not say."""
    unet, vae, text = (configs[part] for part in ("unet", "vae", "text_encoder"))
    widths = ", ".join(map(str, unet["block_out_channels"]))
    return [
        f"U-Net: widths {widths}, {unet['layers_per_block']} blocks a level, context {unet['cross_attention_dim']}",
        f"not in the shapes: {unet['attention_head_dim']} heads in the U-Net, {text['num_attention_heads']} in the text encoder, "
        f"{unet['norm_num_groups']} groups of normalization, latents x {vae['scaling_factor']:g} "
        f"({'from ' + str(beside) + ' and ' if beside else ''}Stable Diffusion 1.5's rules)",
    ]


def _finish(
    staged: Path, target: Path, meaning: _Meaning, *, step: int, report: KeyReport, source: dict[str, Any]
) -> None:
    """Write what the model is, and what became of each key."""
    write_description(
        staged, target, objective=meaning.objective, with_source=meaning.with_source, config=meaning.config, step=step,
        presets=meaning.presets,
    )  # fmt: skip
    content = {"source": source, **report.plain()}
    (staged / REPORT).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
