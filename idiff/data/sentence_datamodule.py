"""The data module of the text encoder's training: sentences drawn as they are read, resumable from the step number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from idiff.checks import check_number
from idiff.data.loading.loaders import process_options
from idiff.errors import ConfigError, missing
from idiff.types import SentenceBatch
from idiff.utils.foreign import read_text
from idiff.utils.lookup import find_class
from idiff.utils.settings import FREE

DRAWN = "idiff.synthetic.sentences:Sentences"
"""The sentences of the drawn scenes."""


class Sentence(Protocol):
    """A sentence that asks for something, and what it asks: question -> answer."""

    text: str
    facts: dict[str, str]


class Sentences(Protocol):
    """An endless stream of sentences; made with `seed` and `names`, further object names."""

    def __getitem__(self, position: int) -> Sentence:
        """The sentence at a place of the stream, always the same."""


class _Batches(Dataset[SentenceBatch]):
    """Batches by number, each of `size` sentences of this rank."""

    def __init__(self, sentences: Sentences, *, size: int, world: int, rank: int) -> None:
        self.sentences, self.size, self.world, self.rank = sentences, size, world, rank

    def __getitem__(self, index: int) -> SentenceBatch:
        begin = (index * self.world + self.rank) * self.size
        positions = list(range(begin, begin + self.size))
        drawn = [self.sentences[position] for position in positions]
        return SentenceBatch(
            keys=[str(position) for position in positions],
            instruction=[sentence.text for sentence in drawn],
            position=torch.tensor(positions),
            task=["text"] * self.size,
            facts=[sentence.facts for sentence in drawn],
        )


class _Rest(Sampler[int]):
    """What is left of an epoch when it is read. Its length is the whole epoch: the trainer counts from the epoch's beginning."""

    def __init__(self, batches: int, *, done: Callable[[], int]) -> None:
        self.batches, self.done = batches, done

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[int]:
        first = self.done()
        return iter(range(first, first - first % self.batches + self.batches))


class SentenceDataModule(LightningDataModule):
    """Sentences that ask for something, and what they ask; no images, no validation set: no sentence is read twice.

    Args:
        batch_size: sentences of a micro-batch on one rank.
        num_workers: worker processes.
        seed: of the sentences.
        words: a text file of further object names, one word or `_`-joined name each.
        epoch_steps: optimizer steps that count as an epoch.
        sentences: class of the sentences, as `module.Class` or `module:Class`: made with `seed` and `names`, it gives the sentence
            at a position, with its `text` and `facts`. None: those of the drawn scenes.

    Raises:
        ConfigError: a number below 1, or no such class.
        DataError: the file of names is missing.
    """

    def __init__(
        self,
        *,
        batch_size: Annotated[int, FREE] = 128,
        num_workers: Annotated[int, FREE] = 0,
        seed: int = 0,
        words: str | None = None,
        epoch_steps: int = 1_000_000,
        sentences: str | None = None,
    ) -> None:
        super().__init__()
        check_number("data.batch_size", batch_size, least=1, whole=True)
        check_number("data.epoch_steps", epoch_steps, least=1, whole=True)
        check_number("data.num_workers", num_workers, least=0, whole=True)
        if words is not None and not Path(words).is_file():
            raise missing(words, what="a text file of object names", remedy="Correct data.words, or leave it out.")
        names: list[str] = []
        if words is not None:
            names = sorted({name.replace("_", " ") for name in read_text(words).split()})
        self.sentences: Sentences = find_class(sentences or DRAWN, what="data.sentences")(seed=seed, names=names)
        self.batch_size, self.num_workers, self.seed, self.epoch_steps = batch_size, num_workers, seed, epoch_steps
        self.tasks: dict[str, Any] = {}

    def progress_at(self, global_step: int) -> tuple[int, int]:
        """Where the trainer's loops stand after whole steps: (epochs done, micro-batches done in the next)."""
        epoch, step = divmod(global_step, self.epoch_steps)
        return epoch, step * self._accumulation

    @property
    def _accumulation(self) -> int:
        return 1 if self.trainer is None else int(self.trainer.accumulate_grad_batches)

    def _done(self) -> int:
        """Micro-batches that the trainer has taken, of all epochs."""
        return 0 if self.trainer is None else self.trainer.global_step * self._accumulation

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches from the trainer's current step on. Its length is a full epoch, also inside of one."""
        world, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        batches = _Batches(self.sentences, size=self.batch_size, world=world, rank=rank)
        rest = _Rest(self.epoch_steps * self._accumulation, done=self._done)
        return DataLoader(batches, batch_size=None, sampler=rest, **process_options(self.num_workers))

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the step and the seed."""
        return {"global_step": 0 if self.trainer is None else self.trainer.global_step, "seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse other sentences than those the run began with.

        Raises:
            ConfigError: the seed differs.
        """
        if state_dict.get("seed", self.seed) != self.seed:
            raise ConfigError(
                f"data.seed is {self.seed}, the checkpoint's {state_dict['seed']}: sentences would differ. Set it back."
            )
