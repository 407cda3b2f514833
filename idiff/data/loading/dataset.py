"""Map-style datasets over shard sets: training rows by stream position, evaluation groups by item.

Randomness comes from the place alone (seed and position), so workers, ranks and restarts do not change what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch.utils.data import Dataset, Sampler

from idiff.data.loading.mixture import Layout, Stream
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks.base import Task
from idiff.types import Triplet
from idiff.utils.seeds import numpy_rng

_TRIES = 8
_NAMED = 3


class LoadingError(DataError):
    """A data error of a loader. torch puts a worker's traceback in front of its sentence: this keeps the sentence."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().rpartition(f"{LoadingError.__name__}: ")[2])


class Row(NamedTuple):
    """One training row. `bad` names the bad samples that were met on the way to it."""

    triplet: Triplet
    position: int
    task: str
    bad: list[str]


class Group(NamedTuple):
    """All evaluation prompts of one item: empty where the sample is bad, which `bad` then names."""

    triplets: list[Triplet]
    bad: list[str]


@dataclass(slots=True)
class Part:
    """One set of a mixture: the task's name in the configuration, the task, its shards."""

    name: str
    task: Task
    shards: ShardSet

    def __len__(self) -> int:
        """Items of the task's unit."""
        return self.shards.count(self.task.unit)


@dataclass(slots=True)
class BadSamples:
    """Counts the bad samples that one process meets, and stops above a share of all reads.

    Args:
        limit: the largest share of bad reads, in [0, 1).
        least: fewer bad reads than this never stop a run.

    Raises:
        ConfigError: the limit is not a share below 1.
    """

    limit: float = 0.01
    least: int = 10
    reads: int = field(default=0, init=False)
    bad: int = field(default=0, init=False)
    last: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.limit < 1:
            raise ConfigError(f"max_bad_fraction is {self.limit}, expected a share from 0 to below 1.")

    def met(self, error: BadSampleError | None) -> None:
        """Count one read: good (None) or bad.

        Raises:
            LoadingError: the share of bad reads is above the limit.
        """
        self.reads += 1
        if error is None:
            return
        self.bad += 1
        self.last = [*self.last, str(error)][-_NAMED:]
        if self.bad >= self.least and self.bad > self.limit * self.reads:
            raise LoadingError(
                f"{self.bad} of {self.reads} samples read were bad, more than max_bad_fraction={self.limit:g} allows. "
                f"The last: {'; '.join(self.last)}. See them all with `idiff data check`."
            )


class StreamDataset(Dataset[Row]):
    """Training rows by stream position. A bad sample is named, counted, and replaced by another of its set.

    Args:
        parts: the sets, in the stream's order.
        stream: which item stands at which position.
        seed: of the augmentations.
        max_bad_fraction: share of bad reads of one worker above which the run ends.
    """

    def __init__(self, parts: Sequence[Part], stream: Stream, *, seed: int, max_bad_fraction: float = 0.01) -> None:
        self.parts = list(parts)
        self.stream = stream
        self.seed = seed
        self.bad = BadSamples(limit=max_bad_fraction)

    def __len__(self) -> int:
        """Rows of one epoch; positions go on beyond it."""
        return len(self.stream)

    def __getitem__(self, position: int) -> Row:
        """Read and paint the row at a stream position, 0 or more.

        Raises:
            LoadingError: too many bad samples, or no usable substitute in a few tries.
        """
        names: list[str] = []
        for attempt in range(_TRIES):
            number, item = self.stream.substitute(position, attempt) if attempt else self.stream.locate(position)
            part = self.parts[number]
            place = ("augment", position, attempt) if attempt else ("augment", position)
            try:
                index, local = part.shards.locate(part.task.unit, item)
                sample = part.shards.read(index)
                triplet = part.task.encode(sample, local, numpy_rng(self.seed, *place), train=True)
            except BadSampleError as error:
                names.append(str(error))
                self.bad.met(error)
            else:
                self.bad.met(None)
                return Row(triplet, position, part.name, names)
        raise LoadingError(
            f"{part.name}: {_TRIES} samples in a row were bad, the last: {names[-1]}. Run `idiff data check`."
        )


class EvaluationDataset(Dataset[Group]):
    """The evaluation prompts of a set, one item's group at a time, in a fixed order. Nothing is drawn at random.

    A bad sample gives an empty group: it is named and left out of the score, never replaced.

    Args:
        part: the set.
        samples: how many items, spread evenly over the set; None takes all.
        rank: this process.
        world: number of processes; each takes every world-th item, and none is repeated.
        max_bad_fraction: share of bad reads of one worker above which the run ends.
    """

    def __init__(
        self,
        part: Part,
        *,
        samples: int | None = None,
        rank: int = 0,
        world: int = 1,
        max_bad_fraction: float = 0.01,
    ) -> None:
        self.part = part
        total = len(part)
        count = total if samples is None else min(samples, total)
        self.items = [number * total // count for number in range(count)][rank::world]
        self.bad = BadSamples(limit=max_bad_fraction)

    def __len__(self) -> int:
        """Items of this rank."""
        return len(self.items)

    def __getitem__(self, index: int) -> Group:
        """Read the prompts of this rank's item `index`.

        Raises:
            LoadingError: too many bad samples.
        """
        part = self.part
        try:
            number, local = part.shards.locate(part.task.unit, self.items[index])
            triplets = part.task.queries(part.shards.read(number), local)
        except BadSampleError as error:
            self.bad.met(error)
            return Group([], [str(error)])
        self.bad.met(None)
        return Group(triplets, [])


class PositionSampler(Sampler[list[int]]):
    """Batches of stream positions for one rank, from the current optimizer step on.

    A pass is one full epoch long, also when it begins inside an epoch: the trainer's batch counter ends the epoch.

    Args:
        step: returns the number of optimizer steps done; asked when a pass begins.
        steps: optimizer steps of an epoch.
        layout: which rows of a step are this rank's.
        offset: added to every position (a run that was continued with another global batch).
    """

    def __init__(self, step: Callable[[], int], *, steps: int, layout: Layout, offset: int = 0) -> None:
        self.step, self.steps, self.layout, self.offset = step, steps, layout, offset

    def __len__(self) -> int:
        """Micro-batches of an epoch on this rank."""
        return self.steps * self.layout.accumulation

    def __iter__(self) -> Iterator[list[int]]:
        """Begin a pass at the current step."""
        return self._batches(self.step())

    def _batches(self, first: int) -> Iterator[list[int]]:
        for step in range(first, first + self.steps):
            for batch in self.layout.positions(step):
                yield [self.offset + position for position in batch]
