"""Draw views of a training set, encode them once, and write them as a latent cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from idiff.data.latent_cache.format import NAME, PLAN, ROWS, STATES, CacheManifest, LatentCache, part_folder
from idiff.data.loading.dataset import BadSamples, Part
from idiff.data.loading.loaders import process_options
from idiff.errors import BadSampleError, DataError
from idiff.tasks.drawing import drawing_settings
from idiff.types import VOID, Triplet
from idiff.utils.files import write_atomic
from idiff.utils.seeds import numpy_rng

_PROMPTS = 512


class Encoder(Protocol):
    """The frozen parts of a model, as the cache uses them. Results are on the CPU.

    Attributes:
        autoencoder, text: SHA-256 of the weights.
    """

    autoencoder: str
    text: str

    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior mean and standard deviation (B, C, h, w) of images (B, 3, H, W)."""
        ...

    def changed(self, source: Tensor, target: Tensor) -> Tensor:
        """Cells in which two images (B, 3, H, W) differ: bool (B, 1, h, w)."""
        ...

    def states(self, prompts: Sequence[str]) -> Tensor:
        """Hidden states (B, L, D) of prompts."""
        ...


class Views(Dataset[Triplet | str]):
    """K drawn views of every item of a set: example `item * views + k` is drawn from (seed, key, k) alone.

    A bad sample gives its name instead of a triplet.
    """

    def __init__(self, part: Part, *, views: int, seed: int) -> None:
        self.part, self.views, self.seed = part, views, seed

    def __len__(self) -> int:
        return len(self.part) * self.views

    def __getitem__(self, index: int) -> Triplet | str:
        item, view = divmod(index, self.views)
        task = self.part.task
        try:
            sample, local = self.part.sample(item)
            rng = numpy_rng(self.seed, "view", f"{sample.key}/{local}", view)
            return task.encode(self.part.with_others(sample, item, rng), local, rng, train=True)
        except BadSampleError as error:
            return str(error)


def build_cache(
    part: Part,
    folder: Path,
    *,
    encoder: Encoder,
    views: int,
    seed: int,
    workers: int = 0,
    batch: int = 256,
    max_bad_fraction: float = 0.01,
    progress: Callable[[int, int], None] | None = None,
) -> CacheManifest:
    """Draw, encode and write `views` views of every item. A build that was cut goes on after its last whole parts.

    Args:
        part: the task and its training shards.
        folder: of the cache.
        encoder: the frozen parts of the model.
        views: drawn of each item, 1 or more.
        seed: of the drawing.
        workers: processes that draw.
        batch: examples encoded at a time.
        max_bad_fraction: share of bad samples above which the build stops.
        progress: called with (examples done, examples in all).

    Returns:
        what was written.

    Raises:
        DataError: too many bad samples, nothing usable, or the folder holds something else.
    """
    plan = {
        "task": part.task.kind, "settings": drawing_settings(part.task), "data": part.shards.fingerprint, "items": len(part),
        "views": views, "seed": seed, "autoencoder": encoder.autoencoder, "text": encoder.text,
    }  # fmt: skip
    whole = _begin(folder, plan)
    if whole is not None:
        return whole
    dataset, bad = Views(part, views=views, seed=seed), BadSamples(limit=max_bad_fraction)
    total = len(dataset)
    parts = range(-(-total // ROWS))
    todo = [number for number in parts if not part_folder(folder, number).is_dir()]
    batches = [
        (number, list(range(start, min(start + batch, (number + 1) * ROWS, total))))
        for number in todo
        for start in range(number * ROWS, min((number + 1) * ROWS, total), batch)
    ]
    loader = DataLoader(
        dataset, batch_sampler=[rows for _, rows in batches], collate_fn=_stacked, **process_options(workers)
    )
    words: list[_Words] = []
    arrays: list[dict[str, NDArray[Any]]] = []
    done = total - sum(len(rows) for _, rows in batches)
    for place, ((number, rows), found) in enumerate(zip(batches, loader, strict=True)):
        for name in [*found.bad, *[None] * len(found.words)]:
            bad.met(None if name is None else _bad(name))
        if found.words:
            arrays.append(_encoded(found, encoder))
            words += found.words
        if place + 1 == len(batches) or batches[place + 1][0] != number:
            _write_part(part_folder(folder, number), words, arrays)
            words, arrays = [], []
        done += len(rows)
        if progress is not None:
            progress(done, total)
    return _finish(folder, plan, parts=len(parts), encoder=encoder)


class _Words(NamedTuple):
    """What is not an image of a triplet; `names` are those of its parts."""

    key: str
    instruction: str
    query: dict[str, Any]
    names: tuple[str, ...] | None


class _Stack(NamedTuple):
    """A batch of triplets, stacked where it was drawn: a few tensors go from process to process, not hundreds."""

    target: Tensor
    source: Tensor | None
    labels: Tensor | None
    words: list[_Words]
    bad: list[str]


def _stacked(drawn: Sequence[Triplet | str]) -> _Stack:
    good = [one for one in drawn if not isinstance(one, str)]
    sources = [one.source for one in good if one.source is not None]
    known = [one.parts for one in good]
    labels = None
    if any(each is not None for each in known):
        blank = torch.full(good[0].target.shape[-2:], VOID, dtype=torch.uint8)
        labels = torch.stack([blank if each is None else each.labels.to(torch.uint8) for each in known])
    return _Stack(
        target=torch.stack([one.target for one in good]) if good else torch.empty(0),
        source=torch.stack(sources) if sources else None,
        labels=labels,
        words=[
            _Words(one.key, one.instruction, one.query, None if one.parts is None else tuple(one.parts.names))
            for one in good
        ],
        bad=[one for one in drawn if isinstance(one, str)],
    )


def _bad(text: str) -> BadSampleError:
    where, _, rest = text.partition(": ")
    field, _, reason = rest.partition(": ")
    return BadSampleError(where, field, reason)


def _encoded(stack: _Stack, encoder: Encoder) -> dict[str, NDArray[Any]]:
    """Arrays of a batch, by name. Examples that say nothing of their parts have void labels."""
    mean, std = encoder.moments(stack.target)
    found = {"mean": mean.half().numpy(), "std": std.half().numpy()}
    if stack.source is not None:
        found["source"] = encoder.moments(stack.source)[0].half().numpy()
        found["changed"] = encoder.changed(stack.source, stack.target).numpy()
    blank = torch.full((len(stack.words), *stack.target.shape[-2:]), VOID, dtype=torch.uint8)
    found["labels"] = (blank if stack.labels is None else stack.labels).numpy()
    return found


def _write_part(final: Path, words: list[_Words], arrays: list[dict[str, NDArray[Any]]]) -> None:
    """Write a part's folder: whole or not at all."""
    staged = final.with_name(f".{final.name}.part")
    names: dict[tuple[str, ...], int] = {}
    lines = []
    for one in words:
        known = None if one.names is None else names.setdefault(one.names, len(names))
        fields = {"key": one.key, "instruction": one.instruction, "query": one.query, "names": known}
        lines.append(json.dumps(fields, sort_keys=True) + "\n")
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for name in arrays[0] if arrays else ():
            if name != "labels" or names:
                np.save(staged / f"{name}.npy", np.concatenate([each[name] for each in arrays]))
        (staged / "names.json").write_text(json.dumps([list(each) for each in names]) + "\n", encoding="utf-8")
        (staged / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
        staged.replace(final)
    except OSError as error:
        raise DataError(f"{final} cannot be written: {error.strerror}. Free space or name another folder.") from None


def _finish(folder: Path, plan: dict[str, Any], *, parts: int, encoder: Encoder) -> CacheManifest:
    """Number and encode the distinct prompts, and write the manifest."""
    prompts: dict[str, int] = {"": 0}
    counts = []
    for number in range(parts):
        place = part_folder(folder, number)
        texts = [json.loads(line)["instruction"] for line in (place / "rows.jsonl").read_bytes().splitlines()]
        numbers = [prompts.setdefault(text, len(prompts)) for text in texts]
        np.save(place / "prompt.npy", np.array(numbers, dtype=np.int32))
        counts.append(len(texts))
    if not sum(counts):
        raise DataError(f"{folder}: no example could be drawn: look at the shards with `idiff data check`.")
    listed = list(prompts)
    states = [encoder.states(listed[at : at + _PROMPTS]).half().numpy() for at in range(0, len(listed), _PROMPTS)]
    np.save(folder / STATES, np.concatenate(states))
    manifest = CacheManifest(**plan, rows=sum(counts), parts=counts)
    manifest.save(folder)
    (folder / PLAN).unlink()
    return manifest


def _begin(folder: Path, plan: dict[str, Any]) -> CacheManifest | None:
    """Refuse to mix caches; note what this one is, for a build that goes on later.

    Returns:
        the manifest, where this very cache is there and whole.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: expected a folder for the cache, which need not exist.")
    for name, what in ((NAME, "another cache"), (PLAN, "the beginning of another cache")):
        if (folder / name).is_file():
            there = json.loads((folder / name).read_text(encoding="utf-8-sig"))
            differs = [key for key in plan if there.get(key) != plan[key]]
            if differs:
                raise DataError(
                    f"{folder} holds {what}: {', '.join(differs)} differ. Name another folder, or delete it."
                )
            return LatentCache(folder).manifest if name == NAME else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror}. Name another folder.") from None
    if any(folder.iterdir()):
        raise DataError(f"{folder} holds something already: name a folder that does not exist, or empty it.")
    write_atomic(folder / PLAN, (json.dumps(plan, sort_keys=True) + "\n").encode())
    return None
