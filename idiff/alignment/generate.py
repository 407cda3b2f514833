"""Paint candidates: one prompt an image, sampled under every setting of a grid."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from idiff.alignment.candidates import Candidate, CandidateFolder, CandidateSample
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, DataError
from idiff.evaluation.guidance_settings import facts
from idiff.models.backbone import LatentDiffusion
from idiff.models.guidance_grid import paint_variants
from idiff.sampling import Sampling
from idiff.tasks.base import Task
from idiff.types import Sample, Triplet
from idiff.utils.images import to_picture
from idiff.utils.picture_files import encode_png
from idiff.utils.seeds import hash64


@dataclass(frozen=True, slots=True)
class Place:
    """An image that is asked about: its place in the shards, and the item of it."""

    number: int
    item: int


def plan(shards: ShardSet, unit: str, *, limit: int | None = None) -> list[Place]:
    """Which images are asked about, and which item of each. Images without an item are left out.

    Args:
        shards: the set.
        unit: the task's item, see `Task.unit`. Of an image with several, one is chosen by a hash of its key.
        limit: at most so many images, spread evenly over the set.

    Raises:
        DataError: no image has an item.
    """
    found = []
    number = 0
    for shard in range(len(shards.manifest.shards)):
        for row in shards.rows(shard):
            count = 1 if unit == "picture" else int(row[unit])
            if count:
                found.append(Place(number, hash64("align", shards.key(number), "item") % count))
            number += 1
    if not found:
        raise DataError(f"{shards.folder}: no image has any '{unit}' to ask about. Choose another --task or --data.")
    count = min(limit or len(found), len(found))
    return [found[place * len(found) // count] for place in range(count)]


def one_prompt(task: Task, sample: Sample, item: int) -> Triplet:
    """The prompt that an image's candidates answer.

    Of several evaluation prompts (classes, groups of joints) one is chosen by a hash of the sample's key, among those whose painted
    truth differs from the source; among all where none does.
    """
    queries = task.queries(sample, item)
    asking = [one for one in queries if one.source is None or not torch.equal(one.source, one.target)] or queries
    return asking[hash64("align", sample.key, "prompt") % len(asking)]


def generate(
    folder: CandidateFolder,
    backbone: LatentDiffusion,
    task: Task,
    shards: ShardSet,
    *,
    places: Sequence[Place],
    settings: Sequence[Sampling],
    seed: int,
    max_rows: int = 64,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[str]:
    """Paint what is not there yet.

    A sample depends on the model, the data, the settings and the seed alone, never on what was done before: noise of candidate n is
    seeded by a hash of (seed, key, n).

    Args:
        folder: begun with these settings.
        backbone: paints, on the device it lies on.
        task: asks.
        shards: what is asked about.
        places: which images, see `plan`.
        settings: one a candidate.
        seed: of the noise.
        max_rows: see `paint_variants`.
        progress: called with (samples done, samples in all).

    Yields:
        a sentence for each sample that cannot be used; it is left out.

    Raises:
        DataError: the folder cannot be written.
    """
    names = [f"{number:06d}" for number in range(len(places))]
    done = sum(folder.has(name) for name in names)
    progress(done, len(places))
    for name, place in zip(names, places, strict=True):
        if folder.has(name):
            continue
        try:
            sample = shards.read(place.number)
            triplet = one_prompt(task, sample, place.item)
        except BadSampleError as error:
            yield str(error)
            continue
        described, pictures = _paint(
            name, sample, place.item, triplet, backbone, settings, seed=seed, max_rows=max_rows
        )
        folder.write(described, pictures)
        done += 1
        progress(done, len(places))


def _paint(
    name: str,
    sample: Sample,
    item: int,
    triplet: Triplet,
    backbone: LatentDiffusion,
    settings: Sequence[Sampling],
    *,
    seed: int,
    max_rows: int,
) -> tuple[CandidateSample, dict[str, bytes]]:
    """One sample: its facts, and its files."""
    assert triplet.source is not None, "tasks that edit have a source"
    source = encode_png(to_picture(triplet.source))
    seeds = [hash64(seed, sample.key, number) for number in range(len(settings))]
    painted = paint_variants(
        backbone, triplet.source, triplet.instruction, settings=settings, seeds=seeds, max_rows=max_rows
    )
    device = next(backbone.unet.parameters()).device
    with torch.no_grad():
        rendered = backbone.autoencoder.render(triplet.source[None].to(device))[0]
    files = {f"candidate_{number:02d}.png": encode_png(to_picture(picture)) for number, picture in enumerate(painted)}
    candidates = tuple(
        Candidate(file, one_seed, facts(setting), _sha256(data))
        for (file, data), one_seed, setting in zip(files.items(), seeds, settings, strict=True)
    )
    extra = {"source.png": source, "rendered.png": encode_png(to_picture(rendered)),
             "target.png": encode_png(to_picture(triplet.target))}  # fmt: skip
    entries = {file: {"file": file, "sha256": _sha256(data)} for file, data in extra.items()}
    described = CandidateSample(
        sample=name, key=sample.key, item=item, instruction=triplet.instruction,
        caption=caption_of(sample.annotation) or triplet.instruction, query=triplet.query, candidates=candidates,
        truth=entries["target.png"], source=entries["source.png"], rendered=entries["rendered.png"],
    )  # fmt: skip
    return described, files | extra


def caption_of(annotation: dict[str, Any]) -> str | None:
    """The caption of the wanted result, where an annotation has one: `target_caption`."""
    text = annotation.get("target_caption")
    return text if isinstance(text, str) and text.strip() else None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
