"""What a run trains and validates on: open the sets of a mixture, and check them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from idiff.checks import check_number
from idiff.data.latent_cache.cached_part import open_cached
from idiff.data.loading.collate import collate_examples
from idiff.data.loading.dataset import Part
from idiff.data.loading.sequential import in_shard_order, open_part
from idiff.data.loading.training_set import TrainingSet, by_position
from idiff.data.shards.overlap import proven, same_code
from idiff.data.shards.reader import ShardSet
from idiff.errors import BadSampleError, ConfigError, DataError
from idiff.sampling import Sampling
from idiff.tasks.base import OwnMetric, Task
from idiff.tasks.example_pair import ExampleName, ExamplePair, with_example
from idiff.utils.settings import FREE

log = logging.getLogger(__name__)

_TRIED = 3
"""Items that tell whether a task can use a set that was built for another."""


@dataclass(init=False)
class TaskEntry:
    """One task of a mixture and its data.

    Attributes:
        task: what the task is.
        train: folder or address of the training shards (sequential mode: also a pattern); None: evaluated only.
        val: folder or address of the validation shards; None: trained only.
        test: folder or address of the test shards, which `idiff test` scores.
        weight: how often an epoch draws each training item on average; the share of the examples in sequential mode.
        rows: examples that an epoch draws of this set, instead of `weight`, however many items it has; None: by weight.
        sampling: how this task is sampled; few steps without guidance where it is left out.
        validation: how it is sampled in the validations of a training, where that is cheaper; None: as `sampling`.
        metrics: further metrics of one's own, name -> `module.Class` of a torchmetrics metric, or its class_path and init_args; its
            `update` takes the combined prediction and the truth, as those of `Task.metrics` do.
        example: `pair`: beside each question stands another sample of the set with its painted answer, in one image of four cells;
            see `ExamplePair`. None: the question alone.
        joints: names of the joints of the training set, once `open_training` has opened it; none for other tasks.

    Raises:
        ConfigError: a weight that is not above 0, rows below 1, a metric that cannot be made, or a task that cannot show examples.
    """

    task: Task
    train: str | None
    val: str | None
    test: str | None
    weight: float
    rows: int | None
    sampling: Sampling
    validation: Sampling | None
    metrics: dict[str, OwnMetric]
    example: ExampleName | None
    joints: list[str]

    def __init__(
        self,
        task: Task,
        train: Annotated[str | None, FREE] = None,
        val: Annotated[str | None, FREE] = None,
        test: Annotated[str | None, FREE] = None,
        *,
        weight: float = 1.0,
        rows: int | None = None,
        sampling: Annotated[Sampling | None, FREE] = None,
        validation: Annotated[Sampling | None, FREE] = None,
        metrics: Annotated[dict[str, OwnMetric] | None, FREE] = None,
        example: ExampleName | None = None,
    ) -> None:
        check_number("weight", weight, above=0)
        check_number("rows", rows, least=1, whole=True, optional=True)
        task = with_example(task, example)
        self.example: ExampleName | None = "pair" if isinstance(task, ExamplePair) else None
        self.task, self.train, self.val, self.test = task, train, val, test
        self.weight, self.rows = weight, rows
        self.joints = []
        self.sampling = (sampling or Sampling()).resolved(task.kind)
        self.validation = None if validation is None else validation.resolved(task.kind)
        self.metrics = dict(task.more_metrics if metrics is None else metrics)
        task.more_metrics = self.metrics
        if self.metrics:
            task.all_metrics()  # what cannot be made is said before anything is computed

    def sampled(self, *, fitting: bool) -> Sampling:
        """How the task is sampled, in the validations of a training (`fitting`) or anywhere else."""
        return self.validation if fitting and self.validation is not None else self.sampling


def open_training(
    entries: Mapping[str, TaskEntry], *, seed: int, epoch_samples: int | None, cache: str | None = None
) -> TrainingSet:
    """Open the training data of a mixture.

    Args:
        entries: name -> task and data; those without `train` are left out.
        seed: of the order.
        epoch_samples: examples of an epoch, which asks for the sequential mode; None for the indexed one.
        cache: folder of latent caches to train from instead of the shards; None: the shards.

    Raises:
        ConfigError: no entry has training data, or a weight is not positive.
        DataError: a folder is missing, damaged or without items.
    """
    trained = {name: (entry, entry.train) for name, entry in entries.items() if entry.train is not None}
    if not trained:
        raise ConfigError(f"data: none of the tasks ({', '.join(entries)}) has training data. Set its `train`.")
    for name, (entry, _) in trained.items():
        if entry.rows is not None and (epoch_samples is not None or cache is not None):
            raise ConfigError(
                f"data: task '{name}' has rows {entry.rows}: expected mode indexed and no cache. Set its `weight` instead."
            )
        if isinstance(entry.task, ExamplePair) and epoch_samples is not None:
            raise ConfigError(
                f"data: task '{name}' has example: pair, which reads a second sample at any place of the set: expected mode "
                "indexed. `idiff data index` indexes foreign shards."
            )
    if cache is not None:
        if epoch_samples is not None:
            raise ConfigError("data: a cache is read by position: leave out mode: sequential.")
        tasks = {name: (entry.task, entry.weight) for name, (entry, _) in trained.items()}
        return open_cached(tasks, cache, seed=seed)
    if epoch_samples is not None:
        found = [
            open_part(name, entry.task, where=where, weight=entry.weight) for name, (entry, where) in trained.items()
        ]
        for (entry, _), part in zip(trained.values(), found, strict=True):
            entry.joints = _joints(part.meta)
        return in_shard_order(found, examples=epoch_samples, seed=seed)
    parts = [_open(name, entry.task, folder=folder) for name, (entry, folder) in trained.items()]
    for (entry, _), each in zip(trained.values(), parts, strict=True):
        entry.joints = _joints(each.shards.meta)
    weights = [
        entry.weight if entry.rows is None else entry.rows / len(part)
        for part, (entry, _) in zip(parts, trained.values(), strict=True)
    ]
    return by_position("mixture", parts, weights=weights, seed=seed, collate=collate_examples, indexed=parts)


def open_evaluation(entries: Mapping[str, TaskEntry], split: Literal["train", "val", "test"] = "val") -> list[Part]:
    """Open the sets of one split of a mixture, in the order of the entries; those without one are left out.

    Example pairs come from the training set where it is there, and from the split itself where it is not.

    Raises:
        DataError: a folder is missing, damaged or without items.
    """
    parts = []
    for name, entry in entries.items():
        folder = getattr(entry, split)
        if folder is not None:
            shown = entry.train if isinstance(entry.task, ExamplePair) and split != "train" else None
            parts.append(_open(name, entry.task, folder=folder, examples=shown))
    return parts


def open_trained(entries: Mapping[str, TaskEntry]) -> list[Part]:
    """Open the indexed training sets that are there, to compare what is scored with them; a warning names those that are not."""
    found = []
    for name, entry in entries.items():
        try:
            found += open_evaluation({name: entry}, "train")
        except DataError as error:
            log.warning("%s Whether test images of it are scored is not checked.", error)
    return found


def refuse_overlap(training: Sequence[Part], evaluation: Sequence[Part], *, warn: bool = False) -> None:
    """Check that nothing is scored that is trained on: no set, and no image. Reads the indices of indexed sets.

    Args:
        training: the indexed sets that are trained on.
        evaluation: validation and test sets.
        warn: shared images are logged instead of refused; a whole set never is.

    Raises:
        DataError: a set that is scored, or an image of one, is in a training set of this or another task.
    """
    trained = {part.shards.fingerprint: part for part in training}
    for part in evaluation:
        if part.shards.fingerprint in trained:
            raise DataError(
                f"{part.shards.folder}: the evaluation set of '{part.name}' is the training set of "
                f"'{trained[part.shards.fingerprint].name}'. Scores on what was trained on mean nothing: give another set."
            )
    checked = {part.shards.fingerprint: part for part in evaluation}
    for own in trained.values():
        for part in checked.values():
            text = _shared(own, part)
            if text and not warn:
                raise DataError(
                    f"{text} Scores on what was trained on mean nothing. `idiff data filter {own.shards.folder} --without "
                    f"{part.shards.folder} --out DIR` takes them out; data.overlap: warn allows them."
                )
            if text:
                log.warning("%s", text)


def _shared(train: Part, val: Part) -> str:
    """A sentence on the images that two sets share, after reading one to be sure; empty where there are none."""
    found = same_code(train.shards, val.shards)
    pairs = proven(train.shards, val.shards, found, enough=1)
    if not pairs:
        return ""
    return (
        f"{val.shards.folder}: {len(set(found[1].tolist())):,} of the {len(val.shards):,} evaluation images of "
        f"'{val.name}' are in {train.shards.folder}, which '{train.name}' is trained on, such as "
        f"{val.shards.where(pairs[0].val)}."
    )


def _open(name: str, task: Task, *, folder: str, examples: str | None = None) -> Part:
    part = Part(name, task, ShardSet.open(folder))
    if not len(part):
        raise DataError(f"{folder}: has no {task.unit}, which task '{name}' works on. Give it another set.")
    if examples is not None:
        try:
            part.examples = _open(name, task, folder=examples).shards
        except DataError as error:
            log.warning("%s The example pairs of '%s' come from %s itself.", error, name, folder)
    if isinstance(task, ExamplePair) and part.examples is None and len(part.shards) == 1:
        raise DataError(f"{folder}: has one sample: expected two or more, because task '{name}' has example: pair.")
    _refuse_other_task(part)
    return part


def _refuse_other_task(part: Part) -> None:
    """Try the first items of a set that was built for tasks of other kinds.

    Raises:
        DataError: the task can use none of them.
    """
    made_for = part.shards.manifest.tasks
    if part.task.kind in made_for:
        return
    faults = []
    for item in range(min(_TRIED, len(part))):
        try:
            sample, local = part.sample(item)
            part.task.queries(part.with_others(sample, item), local)
        except BadSampleError as error:
            faults.append(error)
        else:
            return
    raise DataError(
        f"{part.shards.folder} was built for {' and '.join(made_for)}, and task '{part.name}' ({part.task.kind}) cannot use it: "
        f"{faults[0].field}: {faults[0].reason}. Give it shards that were built for {part.task.kind}."
    )


def _joints(meta: Mapping[str, Any]) -> list[str]:
    """Names of all joints of a set, each once, in its order."""
    skeletons = meta.get("skeletons") or {}
    return list(dict.fromkeys(str(name) for each in skeletons.values() for name in each.get("joints", ())))
