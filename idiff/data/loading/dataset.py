"""Map-style datasets over shard sets: training examples by stream position, evaluation groups by item.

Randomness comes from the place alone (seed and position), so workers, ranks and restarts do not change what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from torch.utils.data import Dataset, Sampler

from idiff.data.loading import reading
from idiff.data.loading.example_pairs import other_samples
from idiff.data.loading.mixture import Layout, Stream
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.tasks.base import Task
from idiff.tasks.example_pair import ExamplePair
from idiff.types import Sample, Triplet
from idiff.utils.seeds import numpy_rng

_TRIES = 8
_NAMED = 3

T = TypeVar("T")
Read_co = TypeVar("Read_co", covariant=True)


class LoadingError(DataError):
    """A data error of a loader. torch puts a worker's traceback in front of its sentence: this keeps the sentence."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().rpartition(f"{LoadingError.__name__}: ")[2])


class Example(NamedTuple, Generic[T]):
    """One training example. `bad` names the bad samples that were met on the way to it."""

    triplet: T
    position: int
    task: str
    bad: list[str]


class Group(NamedTuple):
    """All evaluation prompts of one item: empty where the sample is bad, which `bad` then names."""

    triplets: list[Triplet]
    bad: list[str]


class ExampleSet(Protocol[Read_co]):
    """One set of a mixture, read by item; `name` is the task's in the configuration."""

    name: str

    @property
    def identity(self) -> tuple[Any, ...]:
        """Plain values that decide which example is which."""
        ...

    @property
    def size(self) -> str:
        """How much there is to draw from, in words."""
        ...

    def __len__(self) -> int: ...

    def read(self, item: int, rng: np.random.Generator) -> Read_co:
        """Read an item, 0 <= item < len; what is drawn of it comes from `rng`.

        Raises:
            BadSampleError: it cannot be used.
        """
        ...


@dataclass(slots=True)
class Part:
    """One set of a mixture: the task's name in the configuration, the task, its shards, and the set of example pairs if another."""

    name: str
    task: Task
    shards: ShardSet
    examples: ShardSet | None = None

    def __len__(self) -> int:
        """Items of the task's unit."""
        return self.shards.count(self.task.unit)

    @property
    def identity(self) -> tuple[str, str]:
        """The set's fingerprint, and the unit that is counted."""
        return self.shards.fingerprint, self.task.unit

    @property
    def size(self) -> str:
        """How many items there are."""
        return f"{len(self):,} items"

    def read(self, item: int, rng: np.random.Generator) -> Triplet:
        """Read an item and draw a training example of it; see `ExampleSet`."""
        sample, local = self.sample(item)
        return self.task.encode(self.with_others(sample, item, rng), local, rng, train=True)

    def sample(self, item: int) -> tuple[Sample, int]:
        """The sample of an item, and which of its items that is."""
        index, local = self.shards.locate(self.task.unit, item)
        return self.shards.read(index), local

    def with_others(self, sample: Sample, item: int, rng: np.random.Generator | None = None) -> Sample:
        """The sample, with others where the task shows an example; without an rng its key draws them."""
        if isinstance(self.task, ExamplePair):
            place = (self.shards, item) if self.examples is None else (self.examples, None)
            sample.examples = other_samples(place, self.task.unit, rng or numpy_rng(0, "others", sample.key))
        return sample

    def where(self, item: int) -> str:
        """Task, shard and key of an item."""
        return f"{self.name}, {self.shards.where(self.shards.locate(self.task.unit, item)[0])}"


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


class StreamDataset(Dataset[Example[T]]):
    """Training examples by stream position. A bad sample is named, counted, and replaced by another of its set.

    Args:
        sets: in the stream's order.
        stream: which item stands at which position.
        seed: of the augmentations.
        max_bad_fraction: share of bad reads of one worker above which the run ends.
    """

    def __init__(
        self, sets: Sequence[ExampleSet[T]], stream: Stream, *, seed: int, max_bad_fraction: float = 0.01
    ) -> None:
        self.sets = list(sets)
        self.stream = stream
        self.seed = seed
        self.bad = BadSamples(limit=max_bad_fraction)

    def __len__(self) -> int:
        """Examples of one epoch; positions go on beyond it."""
        return len(self.stream)

    def __getitem__(self, position: int) -> Example[T]:
        """Read the example at a stream position, 0 or more.

        Raises:
            LoadingError: too many bad samples, or no usable substitute in a few tries.
        """
        reading.note(position)
        names: list[str] = []
        for attempt in range(_TRIES):
            number, item = self.stream.substitute(position, attempt) if attempt else self.stream.locate(position)
            chosen = self.sets[number]
            place = ("augment", position, attempt) if attempt else ("augment", position)
            try:
                triplet = chosen.read(item, numpy_rng(self.seed, *place))
            except BadSampleError as error:
                names.append(str(error))
                self.bad.met(error)
            else:
                self.bad.met(None)
                return Example(triplet, position, chosen.name, names)
        raise LoadingError(
            f"{chosen.name}: {_TRIES} samples in a row were bad, the last: {names[-1]}. Run `idiff data check`."
        )

    def where(self, position: int) -> str:
        """What stands at a position, in words."""
        number, item = self.stream.locate(position)
        chosen = self.sets[number]
        where: Callable[[int], str] | None = getattr(chosen, "where", None)
        return f"{chosen.name}, item {item}" if where is None else where(item)


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
        reading.note(index)
        try:
            sample, local = part.sample(self.items[index])
            triplets = part.task.queries(part.with_others(sample, self.items[index]), local)
        except BadSampleError as error:
            self.bad.met(error)
            return Group([], [str(error)])
        self.bad.met(None)
        return Group(triplets, [])

    def where(self, index: int) -> str:
        """This rank's item `index`, in words."""
        return self.part.where(self.items[index])


class PositionSampler(Sampler[list[int]]):
    """Batches of stream positions for one rank, from the current optimizer step on.

    A pass is one full epoch long, also when it begins inside an epoch: the trainer's batch counter ends the epoch.

    Args:
        step: returns the number of optimizer steps done; asked when a pass begins.
        steps: optimizer steps of an epoch.
        layout: which examples of a step are this rank's.
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
