"""Which item stands at which place of the training stream: a pure function of (seed, position).

Nothing here reads data or keeps state. A run is continued by its step number alone: the examples of optimizer step `s` are
the positions `s * global_batch .. (s + 1) * global_batch - 1`, whatever the number of workers, ranks or restarts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from idiff.data.loading.permutation import bijection
from idiff.errors import ConfigError
from idiff.utils.seeds import hash64


class Stream:
    """A weighted mixture of sets as one endless list, shuffled anew each epoch.

    One epoch draws `round(n_i * w_i)` items of set i, so that the share of a set is its size times its weight over the
    sum (InstructDiffusion, section 4.1). A set's draws are counted through all epochs and go through the set pass after
    pass, each pass in a new order: at any weight and after any number of epochs, how often two items of one set were
    drawn differs by at most one, and after `ceil(n_i / draws_i)` epochs none is left out.

    Args:
        lengths: items of each set, each at least 1.
        weights: of each set, each above 0; 1 draws every item once an epoch.
        seed: another seed gives another order.

    Attributes:
        draws: items drawn of each set in one epoch, at least 1.

    Raises:
        ConfigError: no set, an empty set, or a weight that is not a positive number.
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float], *, seed: int) -> None:
        if not lengths or len(lengths) != len(weights):
            raise ConfigError(
                f"a stream needs sets with one weight each, got {len(lengths)} sets, {len(weights)} weights."
            )
        for number, (length, weight) in enumerate(zip(lengths, weights, strict=True)):
            if length < 1:
                raise ConfigError(f"set {number} of the mixture has {length} items, expected at least 1: leave it out.")
            if not (math.isfinite(weight) and weight > 0):
                raise ConfigError(f"set {number} of the mixture has {weight=}, expected a number above 0.")
        self.lengths = tuple(lengths)
        self.seed = seed
        self.draws = tuple(
            max(1, math.floor(length * weight + 0.5)) for length, weight in zip(lengths, weights, strict=True)
        )
        self._ends = tuple(accumulate(self.draws))

    def __len__(self) -> int:
        """Examples of one epoch."""
        return self._ends[-1]

    def shares(self) -> list[float]:
        """The share of each set in the stream; they sum to 1."""
        return [draws / len(self) for draws in self.draws]

    def locate(self, position: int) -> tuple[int, int]:
        """Find what stands at a place.

        Args:
            position: 0 or more, without an upper end.

        Returns:
            (number of the set, item of that set).

        Raises:
            IndexError: the position is negative.
        """
        if position < 0:
            raise IndexError(f"{position=} is negative: a stream begins at 0")
        epoch, offset = divmod(position, len(self))
        draw = bijection(self.seed, epoch, len(self))(offset)
        number = bisect_right(self._ends, draw)
        draw -= self._ends[number] - self.draws[number]
        length = self.lengths[number]
        turn, offset = divmod(epoch * self.draws[number] + draw, length)
        return number, bijection(hash64(self.seed, "set", number), turn, length)(offset)

    def substitute(self, position: int, attempt: int) -> tuple[int, int]:
        """Find what takes the place of an unusable item: another item of the same set, where it has one.

        Args:
            position: the place.
            attempt: 1 for the first substitute, 2 for the substitute of that one, ...

        Returns:
            (number of the set, item of that set).
        """
        number, item = self.locate(position)
        length = self.lengths[number]
        shift = 1 + hash64(self.seed, "substitute", position, attempt) % max(1, length - 1)
        return number, (item + shift) % length


@dataclass(frozen=True, slots=True)
class Layout:
    """How the examples of one optimizer step are spread over ranks and micro-batches.

    Attributes:
        micro: examples of a micro-batch on one rank.
        accumulation: micro-batches a step.
        world: number of processes.
        rank: this process, 0 <= rank < world.
    """

    micro: int
    accumulation: int = 1
    world: int = 1
    rank: int = 0

    @property
    def global_batch(self) -> int:
        """Examples of one optimizer step."""
        return self.micro * self.accumulation * self.world

    def positions(self, step: int) -> list[list[int]]:
        """Stream positions that this rank reads for an optimizer step.

        Returns:
            `accumulation` lists of `micro` positions, `step * global_batch + (a * world + rank) * micro + m`. Over all
            ranks and micro-batches each position of the step comes exactly once.
        """
        begin = step * self.global_batch
        starts = (begin + (a * self.world + self.rank) * self.micro for a in range(self.accumulation))
        return [list(range(start, start + self.micro)) for start in starts]


def progress_for(global_step: int, *, steps_per_epoch: int, accumulation: int) -> tuple[int, int]:
    """Where a loop stands after whole optimizer steps.

    Args:
        global_step: optimizer steps done.
        steps_per_epoch: optimizer steps of one epoch.
        accumulation: micro-batches a step.

    Returns:
        (whole epochs done, micro-batches done in the epoch that follows, 0 at its start).

    >>> progress_for(25, steps_per_epoch=10, accumulation=2)
    (2, 10)
    """
    epoch, step = divmod(global_step, steps_per_epoch)
    return epoch, step * accumulation


def continued_offset(saved: Mapping[str, Any], here: Mapping[str, Any], *, rebase: bool) -> int:
    """Check that a run goes on with the data it was cut from.

    Args:
        saved: `seed`, `fingerprint`, `global_batch`, `global_step` and `offset` of the run that was cut.
        here: the same of this run; its `global_step` and `offset` are not looked at.
        rebase: allow another global batch.

    Returns:
        what to add to every position, so that this run goes on after the last example that the other one read.

    Raises:
        ConfigError: something differs that must not; says from what to what.
    """
    names = {"seed": "seed", "fingerprint": "training data (fingerprint)", "global_batch": "global batch"}
    if rebase:
        del names["global_batch"]
    differs = [f"{text} {saved[key]} -> {here[key]}" for key, text in names.items() if saved[key] != here[key]]
    if differs:
        raise ConfigError(
            f"this run cannot go on from the checkpoint, its data differs: {'; '.join(differs)}. Set the old ones, or "
            "start a new run from its weights. `data.rebase: true` allows another global batch."
        )
    return int(saved["offset"] + saved["global_step"] * (saved["global_batch"] - here["global_batch"]))
