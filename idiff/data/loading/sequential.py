"""The sequential mode: shards without an index, read from front to back by `webdataset.WebDataset`.

For foreign or remote shards only. The indexed mode is exactly resumable, finds damaged shards and knows its sizes; this
one shuffles in a buffer, repeats its shards for ever, and takes each task's `weight` as its share of the examples.

Nothing in a shard is run: members are chosen by name (images and JSON of the shard schema), webdataset's own decoders
are never used, and of all addresses only plain paths and http(s) are opened.
"""

from __future__ import annotations

import glob
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import webdataset
from torch.utils.data import IterableDataset, get_worker_info
from webdataset.shardlists import expand_urls
from webdataset.tariterators import group_by_keys

from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import BadSamples, Example, LoadingError
from idiff.data.loading.mixture import Layout
from idiff.data.loading.training_set import TrainingSet
from idiff.data.shards import annotation, manifest, schema
from idiff.data.shards.strict_tar import stream_members
from idiff.errors import BadSampleError, DataError
from idiff.tasks.base import Task
from idiff.types import Triplet
from idiff.utils.foreign import decoding, open_regular
from idiff.utils.seeds import hash64, numpy_rng

log = logging.getLogger(__name__)

SCHEMES = ("http", "https")
"""What may be opened besides plain paths. Other schemes of webdataset run programs (`pipe:`) or need accounts."""


def shard_urls(where: str) -> list[str]:
    """List the shards that an address names.

    Args:
        where: a folder of `.tar` files, a path or pattern of such files, or http(s) addresses; braces stand for
            several, as in `https://example.org/set-{000..099}.tar`.

    Returns:
        sorted absolute paths and addresses.

    Raises:
        DataError: another scheme, or nothing there.
    """
    urls: list[str] = []
    for word in expand_urls(where):
        scheme = urlparse(word).scheme.lower()
        if scheme in SCHEMES:
            urls.append(word)
            continue
        if scheme or word.startswith("-"):
            raise DataError(
                f"{word}: shards are read from plain paths, {' and '.join(SCHEMES)} only, got scheme '{scheme}'."
            )
        pattern = f"{glob.escape(word)}/*.tar" if Path(word).is_dir() else word
        found = glob.glob(pattern)  # noqa: PTH207 - Path.glob takes no absolute patterns
        if not found:
            raise DataError(
                f"'{word}': no shards there, expected .tar files, a folder of them or a pattern that matches some."
            )
        urls += [
            str(Path(shard).absolute()) for shard in found
        ]  # a file named `pipe:...` must not look like an address
    return sorted(urls)


@dataclass(slots=True)
class SequentialPart:
    """One set of a sequential mixture.

    Attributes:
        name: the task's name in the configuration.
        task: the task.
        urls: its shards.
        weight: its share of the examples, relative to the other parts.
        meta: facts shared by the set (class names, skeletons), as `Sample.meta`.
    """

    name: str
    task: Task
    urls: list[str]
    weight: float = 1.0
    meta: Mapping[str, Any] = field(default_factory=dict)


def open_part(name: str, task: Task, *, where: str, weight: float) -> SequentialPart:
    """Find the shards of one task, and the facts of their set in a `manifest.json` beside the first, if there is one.

    Raises:
        DataError: as `shard_urls`, or a manifest that cannot be read.
    """
    urls = shard_urls(where)
    folder = Path(urls[0]).parent
    meta = manifest.load(folder).meta if (folder / manifest.NAME).is_file() else {}
    return SequentialPart(name=name, task=task, urls=urls, weight=weight, meta=meta)


def in_shard_order(parts: Sequence[SequentialPart], *, examples: int, seed: int) -> TrainingSet:
    """A training set whose shards are read in order.

    Args:
        parts: the sets of the mixture.
        examples: of an epoch.
        seed: of shuffling and augmentation.
    """
    total = sum(part.weight for part in parts)
    listed = ", ".join(f"{part.name} {part.weight / total:.1%} ({len(part.urls):,} shards)" for part in parts)
    names = [Path(url).name for part in parts for url in part.urls]
    return TrainingSet(
        examples=examples,
        fingerprint=f"{hash64('sequential', *names):016x}",
        summary=f"{examples:,} training examples an epoch, in shard order: {listed}",
        dataset=lambda order, limit: SequentialDataset(
            parts, batches=len(order), layout=order.layout, seed=seed, start=order.step(), max_bad_fraction=limit
        ),
        collate=collate_examples,
    )


class SequentialDataset(IterableDataset[list[Example[Triplet]]]):
    """Micro-batches of training examples in shard order, shuffled in a buffer. Not exactly resumable.

    Each process (rank and worker) reads its own shards; where there are fewer shards than processes, several read the
    same shard in another order. Each pass gives `batches` micro-batches in all workers together.

    Args:
        parts: the sets.
        batches: micro-batches of a pass on this rank.
        layout: examples of a micro-batch, and which process this is.
        seed: of shuffling and augmentation.
        start: optimizer steps done when the run (re)starts: another value reads in another order.
        buffer: samples held for shuffling.
        max_bad_fraction: share of bad reads of one worker above which the run ends.
    """

    def __init__(
        self,
        parts: Sequence[SequentialPart],
        *,
        batches: int,
        layout: Layout,
        seed: int,
        start: int = 0,
        buffer: int = 500,
        max_bad_fraction: float = 0.01,
    ) -> None:
        self.parts = list(parts)
        self.batches, self.layout, self.seed, self.start, self.buffer = batches, layout, seed, start, buffer
        self.bad = BadSamples(limit=max_bad_fraction)
        self.passes = 0
        log.warning(
            "sequential mode: shards are read in order, and a run that is continued does not read the examples that an "
            "uncut one would have read. For exact resume use `idiff data index` and mode: indexed."
        )

    def __len__(self) -> int:
        """Micro-batches of a pass on this rank."""
        return self.batches

    def __iter__(self) -> Iterator[list[Example[Triplet]]]:
        """Begin a pass: the micro-batches of this worker."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        place = ("sequential", self.start, self.passes, self.layout.rank, worker)
        self.passes += 1
        slot, slots = self.layout.rank * workers + worker, self.layout.world * workers
        examples = self._examples(place, slot=slot, slots=slots)
        for _ in range(worker, self.batches, workers):
            yield [next(examples) for _ in range(self.layout.micro)]

    def _examples(self, place: tuple[int | str, ...], *, slot: int, slots: int) -> Iterator[Example[Triplet]]:
        """Endless examples of the mixture for one process."""
        rng = numpy_rng(self.seed, *place)
        weights = np.array([part.weight for part in self.parts], dtype=np.float64)
        bad: list[str] = []
        streams = [self._items(part, (*place, part.name), slot=slot, slots=slots, bad=bad) for part in self.parts]
        for number in count():
            choice = int(rng.choice(len(self.parts), p=weights / weights.sum()))
            part = self.parts[choice]
            position = hash64(self.seed, *place, "row", number)
            while True:
                raw, where, item = next(streams[choice])
                try:
                    suffixes = {name: data for name, data in raw.items() if isinstance(data, bytes)}
                    key = raw["__key__"].removeprefix("./")
                    sample = schema.decode(suffixes, key=key, where=where, meta=part.meta)
                    triplet = part.task.encode(sample, item, numpy_rng(self.seed, "augment", position), train=True)
                except BadSampleError as error:
                    bad.append(str(error))
                    self.bad.met(error)
                else:
                    break
            self.bad.met(None)
            yield Example(triplet, position, part.name, list(bad))
            bad.clear()

    def _items(
        self, part: SequentialPart, place: tuple[int | str, ...], *, slot: int, slots: int, bad: list[str]
    ) -> Iterator[tuple[dict[str, Any], str, int]]:
        """Endless (members, `shard:key`, item) of one set for one process, shards shuffled once a round."""
        own = part.urls[slot::slots] or [part.urls[slot % len(part.urls)]]
        for number in count():
            rng = numpy_rng(self.seed, *place, number)
            found = False
            shards = [own[index] for index in rng.permutation(len(own))]
            for raw in _open(shards, buffer=self.buffer, seed=int(rng.integers(1 << 62))):
                where = f"{Path(urlparse(raw['__url__']).path).name}:{raw['__key__']}"
                try:
                    items = _count(raw, part, where=where)
                except BadSampleError as error:
                    bad.append(str(error))
                    self.bad.met(error)
                    continue
                for item in range(items):
                    found = True
                    yield raw, where, item
            if not found:
                raise LoadingError(
                    f"{part.name}: no usable item ({part.task.unit}) in {len(own)} shards ({own[0]}, ...). Members are "
                    f"named key.source.jpg and key.annotation.json. Met: {'; '.join(bad[-3:]) or 'no sample'}."
                )


def _open(urls: list[str], *, buffer: int, seed: int) -> Iterator[dict[str, Any]]:
    """Raw samples of some shards: `__key__`, `__url__`, and suffix -> bytes of the members that the schema knows."""
    shuffle = webdataset.filters.shuffle(buffer, rng=random.Random(seed))
    yield from shuffle(group_by_keys(_members(urls)))


def _members(urls: list[str]) -> Iterator[dict[str, Any]]:
    """Members of some shards as `group_by_keys` takes them: an empty one after each shard.

    Raises:
        LoadingError: a shard that cannot be opened, or is damaged or cut at any place.
    """
    for url in urls:

        def refused(reason: str, url: str = url) -> LoadingError:
            return LoadingError(f"{url}: cannot be read to its end: {reason}. Fetch it again, or leave it out.")

        with decoding(refused):
            try:
                remote = urlparse(url).scheme in SCHEMES
                with webdataset.gopen(url) if remote else open_regular(url) as stream:
                    for name, data in stream_members(stream, where=url, most=schema.LARGEST, wanted=_known):
                        yield {"fname": name, "data": data, "__url__": url}
            except DataError as error:
                raise refused(str(error).removeprefix(f"{url}: ")) from error
        yield {}


def _known(name: str) -> bool:
    """Whether a member is of the shard schema. Others are skipped unread."""
    try:
        schema.parse_name(name, where="")
    except DataError:
        return False
    return True


def _count(raw: Mapping[str, Any], part: SequentialPart, *, where: str) -> int:
    """How many items of the task's unit a raw sample has."""
    if part.task.unit == "picture":
        return 1
    if "annotation.json" not in raw:
        raise BadSampleError(where, "annotation", "missing, expected a member key.annotation.json")
    facts = schema.decode_annotation(raw["annotation.json"], where=where, meta=part.meta)
    return annotation.counts(facts).get(part.task.unit, 0)
