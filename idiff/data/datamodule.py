"""Lightning data modules: one task on its shards, or a weighted mixture. Exactly resumable from the step number."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from idiff.checks import check_choice, check_number
from idiff.data.loading.dataset import EvaluationDataset, Part
from idiff.data.loading.loaders import evaluation_loader
from idiff.data.loading.mixture import Layout, continued_offset, progress_for
from idiff.data.loading.training import TaskEntry, open_evaluation, open_trained, open_training, refuse_overlap
from idiff.data.loading.training_set import TrainingSet
from idiff.errors import ConfigError
from idiff.sampling import Sampling
from idiff.tasks import KeypointDetection, SemanticSegmentation
from idiff.tasks.base import OwnMetric, Task
from idiff.tasks.example_pair import ExampleName
from idiff.utils.settings import FREE

Mode = Literal["indexed", "sequential"]
Overlap = Literal["refuse", "warn"]
NAMES = {"val": "validation", "test": "test"}
"""Splits that are scored, in words."""


class StreamDataModule(LightningDataModule):
    """Training examples by stream position, evaluation by groups of prompts. Base of the data modules below.

    Training order is a function of (seed, position), and step s of a run reads the positions from s * global batch on.
    An epoch is `examples of the mixture // global batch` optimizer steps. Use `Trainer(use_distributed_sampler=False)`.

    Args:
        entries: name -> task and data. The name is the `<task>` of `val/<task>/<metric>`.
        batch_size: examples of a micro-batch on one rank. global batch = batch_size * accumulation * ranks.
        num_workers: worker processes of a loader.
        seed: of order and augmentation.
        val_samples: items of each validation or test set that are asked, spread evenly over it; null asks all.
        val_groups: items of an evaluation batch; each brings all its prompts.
        max_bad_fraction: share of bad samples, of what one worker read, above which the run ends; in [0, 1).
        mode: `indexed` for shards built or indexed here; `sequential` reads the training shards in order, without an
            index, and cannot be continued exactly.
        epoch_samples: examples of an epoch in sequential mode, where sizes are unknown.
        rebase: allow a run to be continued with another global batch; it goes on after the examples already read.
        cache: folder of latent caches, one a task, which training reads instead of the shards (`idiff data cache` makes them);
            the fixed views there take the place of fresh ones.
        overlap: what happens where an image of a validation or test set is also trained on: `refuse`, or `warn` and go on.

    Attributes:
        entries: as given.
        tasks: name -> task.

    Raises:
        ConfigError: an option out of range.
    """

    def __init__(
        self,
        entries: Mapping[str, TaskEntry],
        *,
        batch_size: Annotated[int, FREE] = 32,
        num_workers: Annotated[int, FREE] = 0,
        seed: int = 0,
        val_samples: Annotated[int | None, FREE] = 64,
        val_groups: Annotated[int, FREE] = 8,
        max_bad_fraction: Annotated[float, FREE] = 0.01,
        mode: Mode = "indexed",
        epoch_samples: int | None = None,
        rebase: Annotated[bool, FREE] = False,
        cache: str | None = None,
        overlap: Annotated[Overlap, FREE] = "refuse",
    ) -> None:
        super().__init__()
        self.entries = dict(entries)
        self.tasks = {name: entry.task for name, entry in self.entries.items()}
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.val_samples, self.val_groups, self.max_bad_fraction = val_samples, val_groups, max_bad_fraction
        self.epoch_samples = epoch_samples if mode == "sequential" else None
        self.rebase, self.overlap, self.cache = rebase, overlap, cache
        self.allow_zero_length_dataloader_with_multiple_devices = True  # a rank may have no validation item
        self._offset, self._split = 0, ""
        self._training: TrainingSet | None = None
        self._evaluation: list[Part] = []
        check_choice("data.mode", mode, Mode)
        check_choice("data.overlap", overlap, Overlap)
        check_number("data.batch_size", batch_size, least=1, whole=True)
        check_number("data.val_groups", val_groups, least=1, whole=True)
        check_number("data.num_workers", num_workers, least=0, whole=True)
        check_number("data.max_bad_fraction", max_bad_fraction, least=0, below=1)
        check_number("data.val_samples", val_samples, least=1, whole=True, optional=True)
        check_number("data.epoch_samples", epoch_samples, least=1, whole=True, optional=True)
        if mode == "sequential" and epoch_samples is None:
            raise ConfigError("data: mode sequential requires epoch_samples, the number of examples of an epoch.")

    def setup(self, stage: str) -> None:
        """Open the shards, check that training and validation differ, and log the shares of the mixture.

        Raises:
            ConfigError: nothing to train or to evaluate on, or the trainer would split the data a second time.
            DataError: a folder that is missing or damaged, or a set that is scored, or an image of one, that is trained on.
        """
        connector = getattr(self.trainer, "_accelerator_connector", None)
        if self.layout.world > 1 and getattr(connector, "use_distributed_sampler", False):
            raise ConfigError("data: ranks take examples by position. Set trainer.use_distributed_sampler: false.")
        split: Literal["val", "test"] = "test" if stage == TrainerFn.TESTING else "val"
        if not self._evaluation or split != self._split:
            self._split, self._evaluation = split, open_evaluation(self.entries, split)
        self._refuse_idle_ranks()  # the sets may have been opened before there were ranks
        if stage == TrainerFn.FITTING:
            self._training = open_training(
                self.entries, seed=self.seed, epoch_samples=self.epoch_samples, cache=self.cache
            )
            scored = [*self._evaluation, *open_evaluation(self.entries, "test")]
            refuse_overlap(self._training.indexed, scored, warn=self.overlap == "warn")
            if self.trainer is not None:
                self.progress_at(0)  # refuses a batch that is larger than an epoch before anything is validated
            rank_zero_info(self._training.summary)
        elif not self._evaluation:
            raise ConfigError(f"data: no task ({', '.join(self.entries)}) has a {NAMES[split]} set. Set its `{split}`.")
        elif stage == TrainerFn.TESTING and self.epoch_samples is None:
            refuse_overlap(open_trained(self.entries), self._evaluation, warn=self.overlap == "warn")

    def _refuse_idle_ranks(self) -> None:
        """A rank without validation items would leave the others waiting for it for ever."""
        for part in self._evaluation:
            items = len(part) if self.val_samples is None else min(self.val_samples, len(part))
            if items < self.layout.world:
                raise ConfigError(
                    f"data: task '{part.name}' validates on {items} items, fewer than the {self.layout.world} ranks. "
                    "Raise val_samples, give a larger set, or train on fewer ranks."
                )

    def fingerprint(self, name: str) -> str:
        """Fingerprint of a task's validation set, once it is open."""
        return next(part.shards.fingerprint for part in self._evaluation if part.name == name)

    @property
    def training(self) -> TrainingSet:
        """The opened training data.

        Raises:
            ConfigError: `setup("fit")` has not run.
        """
        if self._training is None:
            raise ConfigError("data: the training data is opened by setup('fit'): call it first.")
        return self._training

    @property
    def layout(self) -> Layout:
        """How the trainer spreads a step over ranks and micro-batches."""
        if self.trainer is None:
            return Layout(micro=self.batch_size)
        return Layout(
            micro=self.batch_size,
            accumulation=self.trainer.accumulate_grad_batches,
            world=self.trainer.world_size,
            rank=self.trainer.global_rank,
        )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch, once `setup("fit")` has run.

        Raises:
            ConfigError: one step needs more examples than an epoch has.
        """
        examples, layout = self.training.examples, self.layout
        if examples < layout.global_batch:
            raise ConfigError(
                f"data: an epoch has {examples} examples, one optimizer step takes {layout.global_batch} "
                f"(batch_size {layout.micro} x accumulation {layout.accumulation} x ranks {layout.world}). "
                "Make the batch smaller or a weight larger."
            )
        return examples // layout.global_batch

    def progress_at(self, global_step: int) -> tuple[int, int]:
        """Where the trainer's loops stand after whole steps: (epochs done, micro-batches done in the next)."""
        steps = self.steps_per_epoch
        return progress_for(global_step, steps_per_epoch=steps, accumulation=self.layout.accumulation)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this rank, from the trainer's current step on. Its length is a full epoch, also inside of one."""
        # both warnings are about loaders that know less than these
        warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")
        warnings.filterwarnings("ignore", ".*Your `IterableDataset` has `__len__` defined.*")
        return self.training.loader(
            self._step, steps=self.steps_per_epoch, layout=self.layout, offset=self._offset, workers=self.num_workers,
            max_bad_fraction=self.max_bad_fraction,
        )  # fmt: skip

    def _step(self) -> int:
        return 0 if self.trainer is None else self.trainer.global_step

    def val_dataloader(self) -> list[DataLoader[Any]]:
        """One loader for each validation set, in the order of the entries. Ranks share the items, none twice."""
        rank, world = self.layout.rank, self.layout.world
        fitting = self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING
        return [
            evaluation_loader(
                EvaluationDataset(
                    part, samples=self.val_samples, rank=rank, world=world, max_bad_fraction=self.max_bad_fraction
                ),
                groups=self.val_groups if part.task.one_size else 1,
                sampling=self.entries[part.name].sampled(fitting=fitting),
                workers=self.num_workers,
            )
            for part in self._evaluation
        ]

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the data: the step, and what the order of examples depends on."""
        if self._training is None:
            return {}
        return {
            "global_step": self._step(),
            "seed": self.seed,
            "fingerprint": self.training.fingerprint,
            "global_batch": self.layout.global_batch,
            "offset": self._offset,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue a run, where it is the same data in the same order.

        Raises:
            ConfigError: the seed, the training data or the global batch differ; says how.
        """
        if self.trainer is None or self.trainer.state.fn != TrainerFn.FITTING:
            return
        self._offset = continued_offset(state_dict, self.state_dict(), rebase=self.rebase)


class TaskDataModule(StreamDataModule):
    """One task on its shards.

    Args:
        task: what the task is; a subclass may have a default.
        train, val, test: folders of the shards, see `TaskEntry`.
        name: the `<task>` of `val/<task>/<metric>`; the task's kind where it is left out.
        weight, sampling, validation, metrics, example: see `TaskEntry`.
        options: see `StreamDataModule`.
    """

    default_task: ClassVar[type[Task] | None] = None

    def __init__(
        self,
        task: Task | None = None,
        *,
        train: Annotated[str | None, FREE] = None,
        val: Annotated[str | None, FREE] = None,
        test: Annotated[str | None, FREE] = None,
        name: str | None = None,
        weight: float = 1.0,
        sampling: Annotated[Sampling | None, FREE] = None,
        validation: Annotated[Sampling | None, FREE] = None,
        metrics: Annotated[dict[str, OwnMetric] | None, FREE] = None,
        example: ExampleName | None = None,
        **options: Any,
    ) -> None:
        if task is None:
            if self.default_task is None:
                raise ConfigError("data: no task. Set task.class_path to a subclass of idiff.tasks.base.Task.")
            task = self.default_task()
        own: dict[str, Any] = {"sampling": sampling, "validation": validation, "metrics": metrics, "example": example}
        super().__init__({name or task.kind: TaskEntry(task, train, val, test, weight=weight, **own)}, **options)


class SegmentationDataModule(TaskDataModule):
    """Semantic segmentation on its shards."""

    default_task = SemanticSegmentation


class KeypointDataModule(TaskDataModule):
    """Keypoint detection on its shards."""

    default_task = KeypointDetection


class MixtureDataModule(StreamDataModule):
    """Several tasks in one stream.

    Args:
        tasks: name -> task and data.
        options: see `StreamDataModule`.
    """

    def __init__(self, tasks: dict[str, TaskEntry], **options: Any) -> None:
        super().__init__(tasks, **options)
